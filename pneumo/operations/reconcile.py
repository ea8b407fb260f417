"""What a killed flow run leaves behind is closed: Prefect says Crashed, MLflow says KILLED, both with the reason."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from pneumo.data.files import write_whole
from pneumo.errors import ServiceError, TrackingError
from pneumo.operations import processes
from pneumo.operations.prefect_api import FINAL_STATES, UNDER_WAY, PrefectApi, address
from pneumo.settings import Settings
from pneumo.stages import Record
from pneumo.tracking import Tracker

REASON = "its process died; the next run goes on from caches and checkpoints"
BEAT = 30.0  # seconds between two signs of life, for those who cannot see the process
SILENCE = 300.0  # without a sign of life from another machine
START = 120.0  # within which a run that a worker took has noted its process


class Process(Record):
    """The process of a flow run; `created` tells it from a later one with the same pid."""

    pid: int
    created: float
    host: str


class Closed(Record):
    """A flow run that was found dead, and the MLflow runs that were closed with it."""

    flow_run_id: str
    mlflow_runs: tuple[str, ...]


@contextmanager
def claimed(home: Path, flow_run_id: str) -> Iterator[None]:
    """Note for the time of a flow which process runs it, so that its death can be told from its silence.

    The note stays when MLflow could not be told how the run ended: `reconcile` does it then.
    """
    claim(home, flow_run_id)
    over = threading.Event()
    threading.Thread(target=_beat, args=(_file(home, flow_run_id), over), daemon=True).start()
    try:
        yield
    except TrackingError:
        raise
    except BaseException:
        release(home, flow_run_id)
        raise
    else:
        release(home, flow_run_id)
    finally:
        over.set()


def claim(home: Path, flow_run_id: str) -> None:
    """Note that this process runs a flow."""
    me = Process(pid=os.getpid(), created=psutil.Process().create_time(), host=socket.gethostname())
    write_whole(_file(home, flow_run_id), me.model_dump_json().encode())


def release(home: Path, flow_run_id: str) -> None:
    """The flow has come to an end of its own."""
    _file(home, flow_run_id).unlink(missing_ok=True)


def reconcile(settings: Settings, patience: float = 0) -> list[Closed]:
    """Close every flow run whose process is dead; safe to call at any time, by anyone.

    Args:
        settings: state folder and addresses.
        patience: seconds for which a Prefect server that does not answer is asked again.

    Raises:
        ServiceError: Prefect does not answer.
        TrackingError: MLflow does not answer.
    """
    api = PrefectApi(address(settings), patience=patience)
    found = dict.fromkeys([*dead(settings.home), *lost(settings, api)])
    return [_close(flow_run_id, settings, api) for flow_run_id in found]


def dead(home: Path) -> list[str]:
    """Flow runs that were claimed and whose process is gone, or silent if it is another machine's."""
    return [file.parent.name for file in _claims(home) if _is_dead(file)]


def lost(settings: Settings, api: PrefectApi) -> list[str]:
    """Flow runs that Prefect takes for alive although nobody claimed them and no process here has them.

    They were killed between the worker and their first line. On a server that other machines share only Pending can
    be judged, and only by its age.
    """
    known = {file.parent.name for file in _claims(settings.home)}
    alone = address(settings) == settings.prefect_api
    runs = [run for run in api.runs(UNDER_WAY if alone else ("PENDING",)) if run["id"] not in known]
    if not runs:
        return []
    here = _flow_runs_here()
    worker = processes.find(settings.home / "services", "worker")
    since = worker.create_time() if worker else time.time()
    return [run["id"] for run in runs if run["id"] not in here and _overdue(run, alone, since)]


def _overdue(run: dict[str, Any], alone: bool, worker_since: float) -> bool:
    began = datetime.fromisoformat(run["state"]["timestamp"]).timestamp()
    if not alone:
        return time.time() - began > 5 * START
    return began < worker_since or time.time() - began > START


def _flow_runs_here() -> set[str]:
    """Flow runs that some process of this machine works for."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone by now
            found.add(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    return found


def _claims(home: Path) -> list[Path]:
    return sorted(home.glob("runs/*/process.json"))


def _is_dead(file: Path) -> bool:
    try:
        process = Process.model_validate_json(file.read_bytes())
        silent = time.time() - file.stat().st_mtime > SILENCE
    except FileNotFoundError:
        return False  # it ended this moment
    except ValidationError:
        return time.time() - file.stat().st_mtime > SILENCE
    return silent if process.host != socket.gethostname() else not processes.alive(process.pid, process.created)


def _close(flow_run_id: str, settings: Settings, api: PrefectApi) -> Closed:
    try:
        if api.run(flow_run_id)["state_type"] not in FINAL_STATES:
            api.crash(flow_run_id, f"Crashed: {REASON}")
        for task in api.tasks(flow_run_id):
            if task["state_type"] not in FINAL_STATES:
                api.crash_task(task["id"], REASON)
    except ServiceError:
        if not api.healthy():
            raise  # else Prefect has forgotten this run: a new database
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    runs = tracker.unfinished({"prefect.flow_run_id": flow_run_id})
    tracker.fail_pending_models(runs)
    for run_id in runs:
        tracker.finish(run_id, "KILLED", REASON)
    release(settings.home, flow_run_id)
    return Closed(flow_run_id=flow_run_id, mlflow_runs=tuple(runs))


def _beat(file: Path, over: threading.Event) -> None:
    while not over.wait(BEAT):
        with suppress(FileNotFoundError):  # released this moment
            os.utime(file)


def _file(home: Path, flow_run_id: str) -> Path:
    return home / "runs" / flow_run_id / "process.json"
