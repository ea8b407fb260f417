"""dcmtk, where it is installed."""

import shutil

import pytest


@pytest.fixture(scope="session")
def dcmtk() -> None:
    if shutil.which("dsrdump") is None:
        pytest.skip("no dcmtk on this machine: infra/dev/packages.sh")
