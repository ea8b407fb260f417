"""Fixtures for every wing's tests."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pneumo.operations.prefect_api import PrefectApi
from pneumo.tracking import healthy
from tests import orthanc as orthanc_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser


# As a training process has it: without, two trainings in one process differ in the last digits on a busy machine.
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
TOGETHER = ("pipeline", "serving", "evaluation")  # wings whose tests share what took a minute to make


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """The tests of a file, or of a folder that shares its fixtures, run on one worker."""
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            wing = file.split("/")[1]
            return wing if wing in TOGETHER else file

    return Together(config, log)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_mlflow(folder: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    """A lean MLflow server on a folder, with more options of `mlflow server`; returns once its API answers."""
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
        *options,
    ]
    lean = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    with (folder / "mlflow.log").open("ab") as log:
        server = subprocess.Popen(command, env=os.environ | lean, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 300
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
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the API of a real Prefect server with SQLite and the pool of pneumo, for the whole session."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    quiet["PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS"] = "1"
    quiet["PREFECT_SERVER_UI_API_URL"] = f"http://127.0.0.1:{port}/api"  # else its page asks port 4200
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | quiet
    with (folder / "prefect.log").open("ab") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    api = PrefectApi(f"http://127.0.0.1:{port}/api", timeout=60)
    deadline = time.monotonic() + 300
    while not api.healthy():
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"Prefect did not start, see {folder}/prefect.log")
        time.sleep(0.2)
    api.ensure_pool()
    yield api.url
    stop(server)


@pytest.fixture(scope="session")
def chromium() -> str:
    """A real browser."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator["Browser"]:
    """Chromium without 3D: where no graphics card draws it, Prefect's graph keeps every core busy for minutes."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-3d-apis"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real MLflow server with SQLite, for the whole session."""
    port = free_port()
    server = start_mlflow(tmp_path_factory.mktemp("mlflow"), port)
    yield f"http://127.0.0.1:{port}"
    stop(server)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of a local S3 server with an empty bucket called hospital."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="hospital")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc_server.Orthanc]:
    """A real DICOMweb archive; tests choose dates of their own. Its login is in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("USER", "PASSWORD"), orthanc_server.LOGIN, strict=True):
            patch.setenv(f"PNEUMO_DICOMWEB_{name}", value)
        with orthanc_server.running(tmp_path_factory.mktemp("orthanc"), free_port(), free_port()) as server:
            yield server


Upload = Callable[[Path, str], None]


@pytest.fixture
def upload(s3_server: str) -> Upload:
    """Puts every file of a folder below a prefix of the bucket, one object a file."""
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server)

    def put(folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder).as_posix()}"
                client.put_object(Bucket="hospital", Key=key, Body=path.read_bytes())

    return put
