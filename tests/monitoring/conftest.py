import uuid

import pytest

from pneumo.tracking import Tracker


@pytest.fixture
def tracker(mlflow_server: str) -> Tracker:
    """An experiment of its own."""
    return Tracker(mlflow_server, uuid.uuid4().hex)
