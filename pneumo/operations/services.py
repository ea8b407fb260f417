"""The embedded Prefect server, MLflow server and worker: up, down, status."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from pneumo.errors import PneumoError, ServiceError
from pneumo.operations import access, deploy, notify, processes
from pneumo.operations.prefect_api import POOL, PrefectApi, address
from pneumo.operations.reconcile import reconcile
from pneumo.operations.schedule import drop_overdue, variables
from pneumo.settings import Settings
from pneumo.tracking import healthy

PROJECT = Path(__file__).parents[2]
WORKER = "pneumo-local"
SILENCE = 60.0  # seconds after which a server that runs but does not answer is started again
DEPLOYMENTS = Path("infra/prefect.yaml")
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_CLI_COLORS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "GX_ANALYTICS_ENABLED": "false",
}


@dataclass(frozen=True)
class Service:
    """A local server or worker; `port` is None for one that does not listen."""

    name: str
    command: tuple[str, ...]
    healthy: Callable[[], bool]
    url: str
    port: int | None = None
    setting: str = ""


@dataclass(frozen=True)
class Status:
    """What `pneumo status` says of a service; `state` is running, silent (no answer) or stopped."""

    name: str
    state: str
    pid: int | None
    url: str
    log: Path


def environment(settings: Settings, api: str | None = None) -> dict[str, str]:
    """Environment of every process that pneumo starts: where the servers are, and telemetry off.

    `api` is a Prefect server other than the embedded one.
    """
    base = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", *access.SERVER_ONLY}}
    return (
        base
        | QUIET
        | variables(settings)
        | {
            "PNEUMO_HOME": str(settings.home),
            "PNEUMO_PROJECT": str(PROJECT),
            "PREFECT_HOME": str(settings.home / "prefect"),
            "PREFECT_API_URL": api or settings.prefect_api,
            "PREFECT_LOCAL_STORAGE_PATH": str(settings.home / "prefect" / "storage"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            # Pauses of 2, 4, 8 ... 256 s: an outage of five minutes is survived, with some to spare for the jitter.
            "PREFECT_CLIENT_MAX_RETRIES": "8",
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # the default is pickle
            "MLFLOW_TRACKING_URI": settings.tracking_uri,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        }
    )


def table(settings: Settings) -> tuple[Service, ...]:
    """The services of the embedded shape, in the order in which they start."""
    prefect = PrefectApi(settings.prefect_api, timeout=5)
    host, python = settings.services.host, sys.executable
    mlflow = settings.tracking_uri
    services = [
        Service(
            "prefect",
            (python, "-m", "prefect", "server", "start", "--host", host, "--port", str(settings.services.prefect_port)),
            prefect.healthy,
            f"http://{host}:{settings.services.prefect_port}",
            settings.services.prefect_port,
            "services.prefect_port",
        ),
        Service(
            "worker",
            (python, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", WORKER),
            lambda: prefect.worker_online(WORKER),
            f"work pool {POOL}",
        ),
    ]
    if settings.tracking.uri is None:
        services.insert(1, _mlflow(settings, mlflow))
    return tuple(services)


def up(settings: Settings, say: Callable[[str], None] = print) -> tuple[Status, ...]:
    """Start what is not running, wait until it answers, lay the deployments, and close what has died.

    The worker comes last, so that it finds no slot taken by the dead and no heap of missed runs.

    Raises:
        ServiceError: a port is taken, or a service died or did not answer; what this call started is stopped again.
    """
    access.require_logins(settings)
    folder = _folder(settings)
    with _alone(folder):
        started: list[str] = []
        try:
            for service in table(settings):
                if service.name == "worker":
                    _prepare(settings, say)
                if _missing(service, folder, say):
                    say(f"starting {service.name} ({service.url})")
                    started.append(service.name)
                    _start(service, settings)
        except BaseException:
            # Ctrl-C included: nothing is left half-started.
            for name in reversed(started):
                processes.stop(folder, name)
            raise
    return status(settings)


def _missing(service: Service, folder: Path, say: Callable[[str], None]) -> bool:
    """Whether a service has to be started.

    A server that runs and does not answer for a minute is stopped first, and what a killed one has left: MLflow's
    parent process can die and leave its child with the port. Flow runs outlive their worker and are left alone.
    """
    running = processes.find(folder, service.name) is not None
    if service.port is None:
        return not running
    if running and _answers_within(service, SILENCE):
        return False
    if running:
        say(f"{service.name} has not answered for {SILENCE:.0f} s: starting it again")
    processes.stop(folder, service.name)
    return True


def _answers_within(service: Service, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _quietly(service.healthy):
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True


def _prepare(settings: Settings, say: Callable[[str], None]) -> None:
    """Lay pool and deployments, close what has died, and let one missed run of each schedule stand for all."""
    api = PrefectApi(settings.prefect_api)
    _lay(settings, settings.prefect_api)
    _deploy(settings, say, settings.prefect_api)
    for closed in reconcile(settings):
        words = f"flow run {closed.flow_run_id} had died: closed it and its MLflow runs"
        say(words)
        _tell(words, say)
    if processes.find(_folder(settings), "worker") is None:
        for name, deployment in api.deployments().items():
            for dropped in drop_overdue(api, deployment):
                say(f"{name}: {dropped} was missed, a newer run stands for it")


def _tell(words: str, say: Callable[[str], None]) -> None:
    try:
        notify.post(notify.Message(kind="failure", title="a run died", text=words))
    except PneumoError as error:
        say(f"warning: {error}")


def down(settings: Settings) -> tuple[str, ...]:
    """Stop every service of this state folder; returns the names of those that ran."""
    folder = _folder(settings)
    with _alone(folder):
        return tuple(name for name in ("worker", "mlflow", "prefect") if processes.stop(folder, name))


def status(settings: Settings) -> tuple[Status, ...]:
    """The state of each service now."""
    return tuple(_status(service, _folder(settings)) for service in table(settings))


def deployment_names() -> list[str]:
    """The deployments of infra/prefect.yaml, without the names of their flows."""
    import yaml

    laid = yaml.safe_load((PROJECT / DEPLOYMENTS).read_text(encoding="utf-8"))["deployments"]
    return [item["name"] for item in laid]


def run_page(settings: Settings, run_id: str) -> str:
    """The page of a flow run in Prefect."""
    return f"http://{settings.services.host}:{settings.services.prefect_port}/runs/flow-run/{run_id}"


def _mlflow(settings: Settings, url: str) -> Service:
    home, host, port = settings.home, settings.services.host, settings.services.mlflow_port
    # The lean form: without job execution and with one worker, 0.5 GB and one process family instead of fifteen.
    command = (sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1")
    artifacts = os.environ.get(access.ARTIFACTS, str(home / "artifacts"))
    options = ("--artifacts-destination", artifacts, *access.mlflow_options(settings))
    return Service("mlflow", (*command, *options), lambda: healthy(url), url, port, "services.mlflow_port")


def _start(service: Service, settings: Settings) -> None:
    folder = _folder(settings)
    if service.port is not None:
        processes.require_free_port(settings.services.host, service.port, service.name, service.setting)
    if service.name == "mlflow":
        access.prepare_database(settings)
    own = environment(settings) | access.own_environment(service.name, settings)
    process = processes.start(service.name, service.command, own, folder, PROJECT)
    processes.wait_until_healthy(process, service.name, service.healthy, folder / f"{service.name}.log")


def deploy_to_server(settings: Settings, say: Callable[[str], None]) -> None:
    """Lay pool, place of results and deployments on the Prefect server in force."""
    _folder(settings).mkdir(parents=True, exist_ok=True)
    _lay(settings, address(settings))
    _deploy(settings, say, address(settings))


def _lay(settings: Settings, api: str) -> None:
    deploy.lay_pool(settings.pool, PrefectApi(api))
    deploy.lay_results(settings, environment(settings, api), PROJECT)


def _deploy(settings: Settings, say: Callable[[str], None], api: str) -> None:
    """Lay the deployments of infra/prefect.yaml, unless that was done for this very code and server."""
    sources = [PROJECT / DEPLOYMENTS, *sorted((PROJECT / "flows").glob("*.py"))]
    parts = [*(file.read_bytes() for file in sources), repr(variables(settings)).encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    laid = _folder(settings) / "deployed"
    present = set(deployment_names()) <= PrefectApi(api).deployments().keys()
    if present and laid.is_file() and laid.read_text() == digest:
        return
    say("laying the deployments")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)]
    result = subprocess.run(  # noqa: S603 - our own command
        command, env=environment(settings, api), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    log = _folder(settings) / "deploy.log"
    log.write_text(result.stdout + result.stderr)
    if result.returncode != 0:
        raise ServiceError(
            f"Expected {DEPLOYMENTS} to be deployed, but Prefect refused; see {log}: {processes.last_words(log)}"
        )
    laid.write_text(digest)


def _status(service: Service, folder: Path) -> Status:
    process = processes.find(folder, service.name)
    state = "stopped" if process is None else "running" if _quietly(service.healthy) else "silent"
    return Status(service.name, state, process.pid if process else None, service.url, folder / f"{service.name}.log")


def _quietly(healthy: Callable[[], bool]) -> bool:
    try:
        return healthy()
    except ServiceError:
        return False


def _folder(settings: Settings) -> Path:
    return settings.home / "services"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock", timeout=180):
            yield
    except filelock.Timeout:
        raise ServiceError(
            f"Expected no other `pneumo up` or `down` at work on {folder}, but one is: wait for it."
        ) from None
    except PermissionError as error:
        raise ServiceError(
            f"Expected to write in the state folder {folder.parent}, but {error.strerror}: "
            "set PNEUMO_HOME to a folder of yours."
        ) from None
