"""MLflow runs of the stages: one parent for each flow run, one child for each candidate."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run

from pneumo.errors import TrackingError, TrainingError
from pneumo.operations import processes
from pneumo.operations.prefect_api import OUTAGE_SECONDS
from pneumo.records.model import Candidate
from pneumo.settings import load_settings
from pneumo.tracking import Tracker, healthy
from pneumo.tracking.runs import PARENT, Status
from pneumo.tracking.system import FLOW_RUN, REQUESTER
from tasks.support.naming import short
from tasks.support.people import requester

_cancelled = threading.Event()  # each flow run has a process of its own
CANCELLED = (KeyboardInterrupt, SystemExit, TerminationSignal)


def tracker() -> Tracker:
    """The tracker of the settings in force."""
    settings = load_settings()
    names = settings.tracking_uri, settings.tracking.experiment
    return _tracker(*names, settings.registry.unverified, settings.mlflow_page)


@cache
def _tracker(uri: str, experiment: str, unverified: bool, page: str) -> Tracker:
    return Tracker(uri, experiment, OUTAGE_SECONDS, unverified, page)


@contextmanager
def parent_run(parameters: dict[str, Any], stage: str = "pipeline", private: bool = False) -> Iterator[str]:
    """An MLflow run that ends as the flow run does, and links to its page.

    For a `private` run MLflow gets only the type of an error; its text, which may quote a path, is in Prefect.
    """
    tags = {**_origin(), "stage": stage, "data.source": str(parameters.get("data", ""))}
    tags[REQUESTER] = requester(load_settings())
    run_id = tracker().runs.start(flow_run.name or "pneumonia", tags=tags)
    tracker().log.params(run_id, {name: value for name, value in parameters.items() if value is not None})
    try:
        yield run_id
        tracker().runs.finish(run_id)
        _end_all("KILLED", "a server went away while this run was created, and it was created twice")
    except Exception as error:  # whatever it is, it is recorded and raised again
        _tell_the_end("FAILED", f"{type(error).__name__}, see the flow run" if private else str(error), error)
        raise
    except CANCELLED:
        # Prefect waits for its threads, which wait for a training: kill that one, and let no other start.
        _cancelled.set()
        processes.kill_children()
        _end_all("KILLED", "the flow run was cancelled")
        raise


def _tell_the_end(status: Status, reason: str, error: Exception) -> None:
    """End this flow run's MLflow runs; if MLflow is gone, leave that to `reconcile` instead of waiting again."""
    if not healthy(tracker().uri):
        raise TrackingError(f"{error} (MLflow is gone, too: its runs are closed when it is back)") from error
    _end_all(status, reason)


def _end_all(status: Status, reason: str) -> None:
    """End this flow run's MLflow runs that are still open, children included."""
    runs = tracker().runs.unfinished(_origin())
    tracker().bundles.fail_pending(runs)
    for run_id in runs:
        tracker().runs.finish(run_id, status, reason)


def name_run(run_id: str, source: str, digest: str) -> None:
    """Name both runs by date, data and digest, which is known only after the data are read."""
    from prefect.client.orchestration import get_client

    name = f"{datetime.now():%Y-%m-%d %H:%M} {short(source)} {digest[:8]}"
    tracker().runs.set_tags(run_id, {"mlflow.runName": name})
    if flow_run.id:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run.id), name=name)


def cancelled() -> bool:
    """Whether this flow run is being cancelled."""
    return _cancelled.is_set()


def start_child(parent_run: str, name: str, parameters: dict[str, Any]) -> str:
    """A child run of a candidate; one that a lost machine left open is continued."""
    if cancelled():
        raise TrainingError(f"The flow run was cancelled before {name} began.")
    begun = tracker().runs.unfinished({PARENT: parent_run, "candidate": name})
    if begun:
        return begun[0]
    tags = {"candidate": name, "stage": "candidate", **_origin()}
    run_id = tracker().runs.start(name, parent=parent_run, tags=tags)
    tracker().log.params(run_id, parameters)
    return run_id


def show_curve(candidate: Candidate, run_id: str) -> None:
    """Log a finished training's curve to a run of which it was no part."""
    history = candidate.model.with_name("history.json")
    rows = json.loads(history.read_text())["epochs"] if history.is_file() else []
    tracker().log.curve(run_id, {int(row.pop("epoch")): row for row in rows})


def _origin() -> dict[str, str]:
    return {FLOW_RUN: flow_run.id or "", "prefect.url": flow_run.ui_url or ""}
