import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pneumo.errors import TrackingError
from pneumo.tracking import Tracker, healthy
from pneumo.tracking.connection import OUTAGE_SECONDS, retries


def test_a_server_that_is_not_there_is_said_at_once(mlflow_control: Any) -> None:
    address = f"http://127.0.0.1:{mlflow_control.free_port()}"
    assert not healthy(address)
    with pytest.raises(TrackingError, match=r"Expected an MLflow server at .* does not answer .*pneumo up"):
        Tracker(address, "tests")


def test_a_running_server_is_healthy(mlflow_server: str) -> None:
    assert healthy(mlflow_server)


def test_the_waits_of_all_retries_cover_the_outage() -> None:
    waits = [0, *(min(120, 2**number) for number in range(1, retries(OUTAGE_SECONDS)))]
    assert sum(waits) >= OUTAGE_SECONDS
    assert retries(OUTAGE_SECONDS) <= 10


@pytest.fixture
def failing_server() -> Iterator[str]:
    """A server that is there, and can write nothing."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if "experiments/search" in self.path else 500)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_fails_again_and_again_is_not_called_silent(
    failing_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    tracker = Tracker(failing_server, "tests")
    with pytest.raises(TrackingError, match=r"HTTP status 500 again and again: .* may have a full disk"):
        tracker.runs.set_tags("a" * 32, {"name": "value"})


@pytest.mark.slow
def test_a_run_survives_a_server_that_goes_away_and_comes_back(tmp_path: Path, mlflow_control: Any) -> None:
    port = mlflow_control.free_port()
    server = mlflow_control.start(tmp_path, port)
    tracker = Tracker(f"http://127.0.0.1:{port}", "outage")
    run_id = tracker.runs.start("survivor")
    mlflow_control.stop(server)
    logging = threading.Thread(target=tracker.log.metrics, args=(run_id, {"auc": 0.9}))
    logging.start()
    server = mlflow_control.start(tmp_path, port)
    logging.join(240)
    assert tracker.client.get_run(run_id).data.metrics == {"auc": 0.9}
    mlflow_control.stop(server)


def test_mlflow_is_imported_only_when_it_is_used() -> None:
    code = "import sys, pneumo.tracking; assert not {'mlflow', 'tensorflow', 'pandas', 'requests'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
