"""Close what a killed flow run leaves behind: Prefect then says Crashed and MLflow KILLED, both with the reason.

A machine judges only what it can see: its own processes, and the runs that its own worker took. Prefect finds the dead
runs of other machines (`automations`). What those left open in MLflow, which Prefect does not know, any machine closes.
"""

import hashlib
import socket
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from pneumo.operations import processes
from pneumo.operations.flow_runs.claims import attempt_of, claimed_runs, dead, living, release
from pneumo.operations.notification_texts import Message, run_died
from pneumo.operations.prefect_api import FINAL_STATES, UNDER_WAY, PrefectApi, address
from pneumo.records.base import Record
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.system import FLOW_RUN, OURS

REASON = "its process died; the next run goes on from caches and checkpoints"
OPEN = 500  # newest runs among which abandoned ones are searched
START = 120.0  # seconds in which a run that this machine's worker took has claimed its process
TAKEN_BY = "prefect.worker.name"  # label that a worker gives the runs that it takes


class Closed(Record):
    """A flow run that was found dead, and its MLflow runs that were closed."""

    flow_run_id: str
    mlflow_runs: tuple[str, ...]

    @property
    def message(self) -> Message:
        """What people are told of it."""
        return run_died(self.flow_run_id)


def worker(home: Path) -> str:
    """Name of the worker of this machine and state folder; the runs that it took bear it."""
    return f"pneumo-{socket.gethostname()}-{hashlib.sha256(bytes(home)).hexdigest()[:6]}"


def reconcile(settings: Settings, patience: float = 0) -> list[Closed]:
    """Close every flow run whose process is dead; safe to call at any time, by anyone.

    Args:
        settings: state folder and addresses.
        patience: seconds for which requests to a silent Prefect server are repeated.

    Raises:
        ServiceError: Prefect does not answer.
        TrackingError: MLflow does not answer.
    """
    api = PrefectApi(address(settings), patience=patience)
    tracker = Tracker.of(settings, patience)
    found = dict.fromkeys([*dead(settings.home), *lost(settings.home, api), *abandoned(settings.home, api, tracker)])
    closed = (_close(flow_run_id, settings.home, api, tracker) for flow_run_id in found)
    return [item for item in closed if item]


def lost(home: Path, api: PrefectApi) -> list[str]:
    """Flow runs that this machine's worker took, that nobody has claimed and no process here runs.

    They were killed before their first line.
    """
    known, name = claimed_runs(home), worker(home)
    under_way = api.runs(UNDER_WAY, others=True)  # what this worker took and lost would hold its slot, whoever's it is
    ours = [run for run in under_way if run["labels"].get(TAKEN_BY) == name and run["id"] not in known]
    if not ours:
        return []
    here = _flow_runs_here()
    process = processes.find(home / "services", "worker")
    since = process.create_time() if process else time.time()
    return [run["id"] for run in ours if run["id"] not in here and _overdue(run, since)]


def abandoned(home: Path, api: PrefectApi, tracker: Tracker) -> list[str]:
    """Flow runs that have ended for Prefect, but left a run open in MLflow or a claim here.

    A run that has just ended by itself may be closing its MLflow run now, so one with a living process is left alone.
    """
    running = tracker.runs.newest(dict([OURS]), "RUNNING", limit=OPEN)
    left = {run.tags.get(FLOW_RUN, "") for run in running} | claimed_runs(home)
    return [flow_run_id for flow_run_id in sorted(left - living(home) - {""}) if _ended(flow_run_id, api)]


def _ended(flow_run_id: str, api: PrefectApi) -> bool:
    run = api.find_run(flow_run_id)  # None: it belongs to another Prefect server
    if run is None or run["state_type"] not in FINAL_STATES:
        return False
    return time.time() - datetime.fromisoformat(run["state"]["timestamp"]).timestamp() > START


def _overdue(run: dict[str, Any], worker_since: float) -> bool:
    began = datetime.fromisoformat(run["state"]["timestamp"]).timestamp()
    return began < worker_since or time.time() - began > START


def _flow_runs_here() -> set[str]:
    """Flow runs that some process of this machine runs."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone meanwhile
            found.add(process.environ().get("PREFECT__FLOW_RUN_ID", ""))
    return found


def _close(flow_run_id: str, home: Path, api: PrefectApi, tracker: Tracker) -> Closed | None:
    if flow_run_id in living(home):
        return None  # it was started again meanwhile
    run = api.find_run(flow_run_id)  # None: Prefect does not know it, as with a new database
    if run and _runs_again(run, home):
        release(home, flow_run_id)
        return None
    if run and run["state_type"] not in FINAL_STATES:
        api.crash(flow_run_id, f"Crashed: {REASON}")
    for task in api.tasks(flow_run_id) if run else ():
        if task["state_type"] not in FINAL_STATES:
            api.crash_task(task["id"], REASON)
    runs = tracker.runs.unfinished({FLOW_RUN: flow_run_id, **dict([OURS])})
    tracker.bundles.fail_pending(runs)
    for run_id in runs:
        tracker.runs.finish(run_id, "KILLED", REASON)
    release(home, flow_run_id)
    return Closed(flow_run_id=flow_run_id, mlflow_runs=tuple(runs))


def _runs_again(run: dict[str, Any], home: Path) -> bool:
    """Whether the flow run has started again since it was found dead, or is about to, so that it must be left alone."""
    if run["state_type"] in FINAL_STATES:
        return False
    claimed = attempt_of(home, run["id"])
    if claimed is None:  # not claimed: it is this machine's if its worker took it, and not one that runs on another
        return bool(run["labels"].get(TAKEN_BY) != worker(home))
    return bool(run["run_count"] != claimed) or run["state_type"] in ("SCHEDULED", "PENDING")
