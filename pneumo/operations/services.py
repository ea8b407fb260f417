"""The embedded Prefect server, MLflow server and worker: up, down, status."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import psutil

from pneumo.errors import PneumoError, ServiceError
from pneumo.operations import access, deploy, processes, webhook
from pneumo.operations.embedded import PROJECT, Service, environment, folder_of, table
from pneumo.operations.flow_runs.overdue import drop_overdue
from pneumo.operations.flow_runs.reconcile import reconcile
from pneumo.operations.notification_texts import Message
from pneumo.operations.prefect_api import PrefectApi
from pneumo.settings import Settings

SILENCE = 60.0  # seconds after which a server that runs but does not answer is restarted


@dataclass(frozen=True)
class Status:
    """What `pneumo status` shows of a service; `state` is running, silent (no answer) or stopped."""

    name: str
    state: str
    pid: int | None
    url: str
    log: Path


def up(settings: Settings, say: Callable[[str], None] = print) -> tuple[Status, ...]:
    """Start what is not running, wait until it answers, register the deployments, and close dead runs.

    The worker starts last, when no dead run holds a slot and missed runs are cancelled.

    Raises:
        ServiceError: a port is taken, or a service died or did not answer; what this call started is stopped again.
    """
    access.require_logins(settings)
    folder = folder_of(settings)
    *servers, worker = table(settings)
    with _alone(folder), ExitStack() as undo:  # also at Ctrl-C, so that nothing is left half started
        _start_missing(servers, settings, say, undo)
        _prepare(settings, say)
        _start_missing([worker], settings, say, undo)
        undo.pop_all()
    return status(settings)


def _start_missing(services: list[Service], settings: Settings, say: Callable[[str], None], undo: ExitStack) -> None:
    """Start what does not run, side by side, since each start keeps one core busy for seconds; then wait for all."""
    folder, started = folder_of(settings), []
    for service in services:
        if _missing(service, folder, say):
            say(f"starting {service.name} ({service.url})")
            undo.callback(processes.stop, folder, service.name)
            started.append((service, _start(service, settings)))
    for service, process in started:
        processes.wait_until_healthy(process, service.name, service.healthy, folder / f"{service.name}.log")


def _missing(service: Service, folder: Path, say: Callable[[str], None]) -> bool:
    """Whether a service must be started.

    A server that has not answered for a minute is stopped first, as is what a killed one has left: MLflow's parent
    process can die and leave its child with the port. Flow runs outlive their worker and are left alone.
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
    """Register pool and deployments, close dead runs, and keep one of the missed runs of each schedule."""
    api = PrefectApi(settings.prefect_api)
    deploy.register(settings, say, settings.prefect_api)
    close_dead(settings, say)
    if processes.find(folder_of(settings), "worker") is None:
        for name, deployment in api.deployments().items():
            for dropped in drop_overdue(api, deployment):
                say(f"{name}: {dropped} was missed, a newer run stands for it")


def close_dead(settings: Settings, say: Callable[[str], None] = print, patience: float = 0) -> None:
    """Close every flow run whose process is dead, and tell people.

    Args:
        patience: seconds for which requests to silent servers are repeated.

    Raises:
        ServiceError, TrackingError: Prefect or MLflow does not answer.
    """
    for closed in reconcile(settings, patience):
        say(closed.message.text)
        _tell(closed.message, say)


def _tell(message: Message, say: Callable[[str], None]) -> None:
    try:
        webhook.post(message)
    except PneumoError as error:
        say(f"warning: {error}")


def down(settings: Settings) -> tuple[str, ...]:
    """Stop every service of this state folder; returns the names of those that ran."""
    folder = folder_of(settings)
    with _alone(folder):
        return tuple(name for name in ("worker", "mlflow", "prefect") if processes.stop(folder, name))


def status(settings: Settings) -> tuple[Status, ...]:
    """The state of each service now."""
    return tuple(_status(service, folder_of(settings)) for service in table(settings))


def _start(service: Service, settings: Settings) -> psutil.Process:
    folder = folder_of(settings)
    if service.port is not None:
        processes.require_free_port(settings.services.host, service.port, service.name, service.setting)
    if service.name == "mlflow":
        access.prepare_database(settings)
    own = environment(settings) | access.own_environment(service.name, settings)
    return processes.start(service.name, service.command, own, folder, PROJECT)


def _status(service: Service, folder: Path) -> Status:
    process = processes.find(folder, service.name)
    state = "stopped" if process is None else "running" if _quietly(service.healthy) else "silent"
    return Status(service.name, state, process.pid if process else None, service.url, folder / f"{service.name}.log")


def _quietly(healthy: Callable[[], bool]) -> bool:
    try:
        return healthy()
    except ServiceError:
        return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / "lock", timeout=180):
            yield
    except filelock.Timeout:
        raise ServiceError(
            f"Expected no other `pneumo up` or `down` to use {folder}, but one does: wait for it."
        ) from None
    except PermissionError as error:
        raise ServiceError(
            f"Expected to write in the state folder {folder.parent}, but {error.strerror}: "
            "set PNEUMO_HOME to a folder of yours."
        ) from None
