"""Faults leave the team server as they found it, for the tests after them."""

import pytest

from tests.containers import disturbed


@pytest.fixture(scope="module", autouse=True)
def as_before(ready, site):
    yield
    disturbed.reset(ready, site)
