"""What a killed flow run leaves behind is closed: Prefect says Crashed, MLflow says KILLED, both with the reason."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from pneumo.data.files import write_whole
from pneumo.errors import TrackingError
from pneumo.operations import processes
from pneumo.operations.prefect_api import FINAL_STATES, UNDER_WAY, PrefectApi, address
from pneumo.settings import Settings
from pneumo.stages import Record
from pneumo.tracking import Tracker

REASON = "its process died; the next run goes on from caches and checkpoints"
ORIGIN = "prefect.flow_run_id"  # tag of every MLflow run
OPEN = 500  # runs that are looked at for one that was abandoned
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
    with ExitStack() as beating, ExitStack() as note:
        beating.callback(over.set)
        note.callback(release, home, flow_run_id)
        try:
            yield
        except TrackingError:
            note.pop_all()
            raise


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
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment, patience)
    found = dict.fromkeys([*dead(settings.home), *lost(settings, api), *abandoned(settings.home, api, tracker)])
    return [_close(flow_run_id, settings.home, api, tracker) for flow_run_id in found]


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


def abandoned(home: Path, api: PrefectApi, tracker: Tracker) -> list[str]:
    """Flow runs that Prefect knows to have ended and MLflow shows as running, such as those of a job that is gone.

    A run that has ended by itself a moment ago may be telling MLflow just now, so its note counts.
    """
    known = {file.parent.name for file in _claims(home)}
    open_runs = {run.tags.get(ORIGIN, "") for run in tracker.newest({}, "RUNNING", limit=OPEN)} - known - {""}
    return [flow_run_id for flow_run_id in sorted(open_runs) if _ended(flow_run_id, api)]


def _ended(flow_run_id: str, api: PrefectApi) -> bool:
    run = api.find_run(flow_run_id)  # None: of another Prefect server, and none of our business
    if run is None or run["state_type"] not in FINAL_STATES:
        return False
    return time.time() - datetime.fromisoformat(run["state"]["timestamp"]).timestamp() > START


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


def _close(flow_run_id: str, home: Path, api: PrefectApi, tracker: Tracker) -> Closed:
    run = api.find_run(flow_run_id)  # None: Prefect has forgotten it, a new database
    if run and run["state_type"] not in FINAL_STATES:
        api.crash(flow_run_id, f"Crashed: {REASON}")
    for task in api.tasks(flow_run_id) if run else ():
        if task["state_type"] not in FINAL_STATES:
            api.crash_task(task["id"], REASON)
    runs = tracker.unfinished({ORIGIN: flow_run_id})
    tracker.fail_pending_models(runs)
    for run_id in runs:
        tracker.finish(run_id, "KILLED", REASON)
    release(home, flow_run_id)
    return Closed(flow_run_id=flow_run_id, mlflow_runs=tuple(runs))


def _beat(file: Path, over: threading.Event) -> None:
    while not over.wait(BEAT):
        with suppress(FileNotFoundError):  # released this moment
            os.utime(file)


def _file(home: Path, flow_run_id: str) -> Path:
    return home / "runs" / flow_run_id / "process.json"
