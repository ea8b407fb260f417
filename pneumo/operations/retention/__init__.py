"""House-keeping: what is old and needed by nobody, and taking it away.

Never touched: a version that an alias points at and the one before it, their data sets, whatever is younger than a day,
and the newest `retention.runs` of everything.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from pneumo.data import prune
from pneumo.errors import TrackingError
from pneumo.operations import access
from pneumo.operations.prefect_api import TRAINING_QUEUE, UNDER_WAY, PrefectApi, address
from pneumo.operations.retention import files, stores, tracked
from pneumo.operations.retention.item import DAY, Item, Kind, Removal
from pneumo.settings import Settings
from pneumo.tracking import Tracker


def plan(settings: Settings) -> list[Removal]:
    """All that could go, each with how.

    While a training is under way caches and data versions are left alone, for it may be using them.

    Raises:
        ServiceError: Prefect does not answer.
        TrackingError: MLflow does not answer.
        DataError: data.storage cannot be reached.
    """
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    api, limits = PrefectApi(address(settings)), settings.retention
    keep = tracked.needed(tracker, settings)
    found = [
        *tracked.old_versions(tracker, settings, keep),
        *tracked.old_runs(tracker, limits, keep),
        *stores.left_artifacts(tracker, settings),
        *_old_flow_runs(api, settings),
        *files.long_logs(settings.home, limits),
    ]
    if not any(run["work_queue_name"] == TRAINING_QUEUE for run in api.runs(UNDER_WAY)):
        found += files.old_files(settings.home, limits, keep.digests)
        found += _old_data(settings, keep)
    return found


def apply(removals: list[Removal], settings: Settings) -> None:
    """Take things away, in order; stopped in the middle, the rest is found again the next time."""
    for _, remove in removals:
        remove()
    purge(settings)


def purge(settings: Settings) -> None:
    """Let MLflow forget what was deleted a day ago, where its database is known here.

    Raises:
        TrackingError: `mlflow gc` failed; the next house-keeping tries again.
    """
    if settings.tracking.uri and not os.environ.get(access.DATABASE):
        return
    # By the environment, where `gc` looks for a database that it is not given by an option: the address may hold a
    # password, and a command line can be read by everyone.
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": access.database(settings),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    options = ("--older-than", "1d0h0m0s", "--tracking-uri", settings.tracking_uri)
    command = [sys.executable, "-m", "mlflow", "gc", *options]
    done = subprocess.run(  # noqa: S603 - our own command
        command, env=environment, cwd=settings.home, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reasons = [line for line in done.stderr.splitlines() if "Error" in line or "Exception" in line]
        told = reasons[-1] if reasons else "it gave no reason"
        raise TrackingError(f"Expected `mlflow gc` to forget what was deleted, but it failed: {told}")


def _old_flow_runs(api: PrefectApi, settings: Settings) -> Iterator[Removal]:
    """Prefect's history of each deployment, with its logs."""
    now, seen = datetime.now(UTC), dict[str | None, int]()
    for run in api.ended_before(now):
        place = seen[run["deployment_id"]] = seen.get(run["deployment_id"], 0) + 1
        days = (now - datetime.fromisoformat(run["end_time"])) / timedelta(days=1)
        if place > settings.retention.runs and days > settings.retention.days:
            yield Item(kind="flow run", name=run["name"], days=days), partial(api.delete_run, run["id"])


def _old_data(settings: Settings, keep: tracked.Needed) -> Iterator[Removal]:
    if not settings.data.storage:
        return
    now = datetime.now(UTC)
    before = now - timedelta(days=settings.retention.days)
    versions, shards = prune.surplus(settings.data, keep.digests, settings.retention.runs, before)
    trainings = prune.old_trainings(settings.data, before)
    kinds: list[tuple[Kind, list[prune.Surplus]]] = [
        ("data version", versions),
        ("data shard", shards),
        ("training elsewhere", trainings),
    ]
    for kind, found in kinds:
        for one in found:
            days = (now - one.changed).total_seconds() / DAY
            yield Item(kind=kind, name=one.name, days=days, bytes=one.bytes), partial(prune.remove, settings.data, one)
