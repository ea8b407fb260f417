"""The embedded services: what is started, with which command and environment."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pneumo.operations import access
from pneumo.operations.automations import HEARTBEAT_SECONDS
from pneumo.operations.flow_runs.reconcile import worker
from pneumo.operations.prefect_api import POOL, PrefectApi, address, page
from pneumo.operations.schedule import variables
from pneumo.settings import Settings
from pneumo.tracking import answers
from pneumo.tracking.connection import SAFE

PROJECT = Path(__file__).parents[2]
QUIET = {
    **SAFE,
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_V2_ENABLED": "false",  # as it loads it asks another company's server, whatever the settings say
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_CLI_COLORS": "false",
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


def environment(settings: Settings, api: str | None = None) -> dict[str, str]:
    """Environment of every process that pneumo starts: where the servers are, and telemetry off.

    `api` is the address of a Prefect server other than the embedded one.
    """
    base = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", *access.SERVER_ONLY}}
    told = {access.ELSEWHERE: "1"} if os.environ.get(access.DATABASE) else {}
    return (
        base
        | told
        | QUIET
        | variables(settings)
        | {
            "PNEUMO_HOME": str(settings.home),
            "PNEUMO_PROJECT": str(PROJECT),
            "PREFECT_HOME": str(settings.home / "prefect"),
            "PREFECT_API_URL": api or settings.prefect_api,
            "PREFECT_UI_URL": page(settings, api or settings.prefect_api),
            "PREFECT_LOCAL_STORAGE_PATH": str(settings.home / "prefect" / "storage"),
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
            # Pauses of 2, 4, 8 ... 256 s: they survive an outage of five minutes, with a reserve for the jitter.
            "PREFECT_CLIENT_MAX_RETRIES": "8",
            "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",  # the default is pickle
            "MLFLOW_TRACKING_URI": settings.tracking_uri,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        }
    )


def table(settings: Settings) -> tuple[Service, ...]:
    """The embedded services, in the order in which they start."""
    prefect = PrefectApi(settings.prefect_api, timeout=5)
    host, python = settings.services.host, sys.executable
    mlflow, name = settings.tracking_uri, worker(settings.home)
    services = [
        Service(
            "prefect",
            _prefect(host, str(settings.services.prefect_port)),
            prefect.healthy,
            f"http://{host}:{settings.services.prefect_port}",
            settings.services.prefect_port,
            "services.prefect_port",
        ),
        Service(
            "worker",
            (python, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name),
            lambda: prefect.worker_online(name),
            f"work pool {POOL}",
        ),
    ]
    if settings.tracking.uri is None:
        services.insert(1, _mlflow(settings, mlflow))
    return tuple(services)


def run_page(settings: Settings, run_id: str) -> str:
    """Address of a flow run's page in Prefect."""
    return f"{page(settings, address(settings))}/runs/flow-run/{run_id}"


def folder_of(settings: Settings) -> Path:
    """Folder of the services' process files and logs."""
    return settings.home / "services"


def _prefect(host: str, port: str) -> tuple[str, ...]:
    """With a login Prefect guards itself."""
    if os.environ.get(access.PREFECT_LOGIN):
        return sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", port
    return sys.executable, "-m", "tasks.support.prefect_server", host, port


def _mlflow(settings: Settings, url: str) -> Service:
    home, host, port = settings.home, settings.services.host, settings.services.mlflow_port
    # Without job execution and with one worker it takes 0.5 GB and one group of processes instead of fifteen.
    command = (sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1")
    artifacts = os.environ.get(access.ARTIFACTS, str(home / "artifacts"))
    options = ("--artifacts-destination", artifacts, *access.mlflow_options(settings))
    return Service("mlflow", (*command, *options), lambda: answers(url), url, port, "services.mlflow_port")
