"""External sets as a run brings them in, before any training."""

from types import SimpleNamespace

import pytest

from pneumo.errors import DataError
from pneumo.settings import Settings
from tasks import data


def test_two_sets_of_one_name_stop_the_run(monkeypatch):
    """In MLflow the figures of the second would stand for both."""
    monkeypatch.setattr(data.elsewhere, "bring_in", lambda source, *_: SimpleNamespace(source=source))
    with pytest.raises(DataError, match="/north/chest_xray, /south/chest_xray: rename a folder"):
        data.external_sets.fn(None, Settings(external=("/north/chest_xray", "/south/chest_xray")))
    assert len(data.external_sets.fn(None, Settings(external=("/north", "/south")))) == 2
