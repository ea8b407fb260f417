"""What every flow begins with, called from Python without a worker."""

import os

from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from tasks import operations


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
