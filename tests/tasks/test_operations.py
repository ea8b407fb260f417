"""What every flow begins with, called from Python without a worker."""

import os
from types import SimpleNamespace

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from pneumo.errors import DataError
from pneumo.operations import webhook as sender
from pneumo.settings import Settings
from tasks import operations
from tasks.support import naming
from tests.webhook import Webhook


def test_a_flow_called_from_python_asks_the_server_that_runs_it(mlflow_server, tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path))
    monkeypatch.setenv("PNEUMO_TRACKING__URI", mlflow_server)
    monkeypatch.setattr(operations, "preflight", lambda settings: None)

    @flow
    def run():
        with operations.guard() as settings:
            return operations.address(settings), operations.address(settings) == settings.prefect_api

    with prefect_test_harness(server_startup_timeout=180):
        asked, default = run()
    assert asked.endswith("/api") and not default
    assert "PREFECT_API_URL" not in os.environ


def test_a_failed_run_tells_others_its_kind_and_no_path_of_a_patient(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(operations, "load_settings", lambda: Settings(home=tmp_path))
    for name in ("close_dead", "preflight"):
        monkeypatch.setattr(operations, name, lambda settings: None)
    run = SimpleNamespace(
        id="1", run_count=1, name="2026-11-25 04:39 train Mustermann", ui_url="http://prefect/1",
        parameters={"data": "/scans/Mustermann"},
    )  # fmt: skip
    for module in (operations, naming):
        monkeypatch.setattr(module, "flow_run", run)
    with Webhook() as webhook:
        monkeypatch.setenv(sender.VARIABLE, webhook.url)
        with pytest.raises(DataError, match="Mustermann"), operations.guard():
            raise DataError("Expected a file, but NORMAL/Mustermann_Erika.png is a pipe: take it out.")
    assert [(told["kind"], "Mustermann" in str(told)) for told in webhook.got] == [("failure", False)]
    assert webhook.got[0]["title"] == "2026-11-25 04:39 train failed"
    assert "DataError, see the flow run" in webhook.got[0]["text"]
