"""What a killed flow run leaves behind is closed: Prefect says Crashed, MLflow says KILLED, both with the reason."""

import json
import os
import socket
from pathlib import Path

import psutil

from pneumo.errors import ServiceError
from pneumo.operations.prefect_api import FINAL_STATES, PrefectApi, address
from pneumo.settings import Settings
from pneumo.stages import Record
from pneumo.tracking import Tracker

REASON = "its process died; the next run goes on from caches and checkpoints"


class Process(Record):
    """The process of a flow run; `created` tells it from a later one with the same pid."""

    pid: int
    created: float
    host: str


class Closed(Record):
    """A flow run that was found dead, and the MLflow runs that were closed with it."""

    flow_run_id: str
    mlflow_runs: tuple[str, ...]


def claim(home: Path, flow_run_id: str) -> None:
    """Note which process runs a flow, so that its death can be told from its silence."""
    me = Process(pid=os.getpid(), created=psutil.Process().create_time(), host=socket.gethostname())
    file = _file(home, flow_run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(me.model_dump_json())


def release(home: Path, flow_run_id: str) -> None:
    """The flow has come to an end of its own."""
    _file(home, flow_run_id).unlink(missing_ok=True)


def reconcile(settings: Settings) -> list[Closed]:
    """Close every flow run of this machine whose process is dead; safe to call at any time, by anyone.

    Raises:
        ServiceError: Prefect does not answer.
        TrackingError: MLflow does not answer.
    """
    api = PrefectApi(address(settings))
    return [_close(flow_run_id, settings, api) for flow_run_id in dead(settings.home)]


def dead(home: Path) -> list[str]:
    """Flow runs that were claimed on this machine and whose process is gone."""
    found = []
    for file in sorted(home.glob("runs/*/process.json")):
        try:
            process = Process.model_validate_json(file.read_text())
        except (FileNotFoundError, json.JSONDecodeError, ValueError):
            continue  # it ended or is being written this moment
        if process.host == socket.gethostname() and not _alive(process):
            found.append(file.parent.name)
    return found


def _close(flow_run_id: str, settings: Settings, api: PrefectApi) -> Closed:
    try:
        if api.run(flow_run_id)["state_type"] not in FINAL_STATES:
            api.crash(flow_run_id, f"Crashed: {REASON}")
    except ServiceError:
        if not api.healthy():
            raise  # else Prefect has forgotten this run: a new database
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    runs = tracker.unfinished({"prefect.flow_run_id": flow_run_id})
    for run_id in runs:
        tracker.finish(run_id, "KILLED", REASON)
    release(settings.home, flow_run_id)
    return Closed(flow_run_id=flow_run_id, mlflow_runs=tuple(runs))


def _alive(process: Process) -> bool:
    try:
        found = psutil.Process(process.pid)
        return found.create_time() == process.created and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _file(home: Path, flow_run_id: str) -> Path:
    return home / "runs" / flow_run_id / "process.json"
