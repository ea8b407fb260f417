"""Fixtures for every wing's tests."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pneumo.tracking import healthy


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_mlflow(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A lean MLflow server on a folder; returns once its API answers."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    lean = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    with (folder / "mlflow.log").open("ab") as log:
        server = subprocess.Popen(command, env=os.environ | lean, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 120
    while not healthy(f"http://127.0.0.1:{port}"):
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"MLflow did not start, see {folder}/mlflow.log")
        time.sleep(0.2)
    return server


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server with its workers."""
    os.killpg(server.pid, 15)
    server.wait(30)


class MlflowControl:
    """For tests that start and stop their own servers."""

    free_port = staticmethod(free_port)
    start = staticmethod(start_mlflow)
    stop = staticmethod(stop)


@pytest.fixture(scope="session")
def mlflow_control() -> MlflowControl:
    return MlflowControl()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real MLflow server with SQLite, for the whole session."""
    port = free_port()
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"), port)
    yield f"http://127.0.0.1:{port}"
    stop(server)
