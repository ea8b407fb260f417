"""Scheduled runs that were missed, or that had to wait for another training."""

import json
from datetime import UTC, datetime
from typing import Any

from pneumo.operations.prefect_api import TRAINING_QUEUE, PrefectApi
from pneumo.settings import Settings


def collapse(api: PrefectApi, flow_run_id: str) -> list[str]:
    """Cancel the other overdue runs of a run's deployment that ask for the same; returns their names."""
    run = api.run(flow_run_id)
    return drop_overdue(api, run["deployment_id"], keep=run) if run["deployment_id"] else []


def drop_overdue(api: PrefectApi, deployment: str, keep: dict[str, Any] | None = None) -> list[str]:
    """Cancel overdue runs of a deployment so that one of each set of parameters is left: `keep`, or the newest.

    Args:
        api: where.
        deployment: its id.
        keep: a run that has begun; only those like it are cancelled.
    """
    now = datetime.now(UTC)
    due = [run for run in api.runs(["SCHEDULED"], deployment) if _time(run, "expected_start_time") <= now]
    stays = {json.dumps(run["parameters"], sort_keys=True): run["id"] for run in [*due, *([keep] if keep else [])]}
    alike = [run for run in due if not keep or run["parameters"] == keep["parameters"]]
    dropped = [run for run in alike if run["id"] not in stays.values()]
    for run in dropped:
        api.drop(run["id"], "overdue together with others: one run stands for all")
    return [run["name"] for run in dropped]


def collided(api: PrefectApi, flow_run_id: str) -> str:
    """A sentence that names the training which held the slot when this run was due; empty if the slot was free.

    Not by a deployment's concurrency limit: that counts the runs of one deployment, and `train` and `retrain` share a
    slot, which is a work queue of limit 1.
    """
    due = _time(api.run(flow_run_id), "expected_start_time")
    for run in api.ended_since(due, TRAINING_QUEUE):
        if run["start_time"] and _time(run, "start_time") < due and run["id"] != flow_run_id:
            return f"{run['name']} was training when this run was due, and retrain.collision is cancel"
    return ""


def _time(run: dict[str, Any], field: str) -> datetime:
    return datetime.fromisoformat(run[field])


def variables(settings: Settings) -> dict[str, str]:
    """The schedules of mlflow.yaml for infra/prefect.yaml; one that is empty becomes a date that is not active."""
    crons = {
        "RETRAIN": settings.retrain.cron,
        "WATCH": settings.watch.cron,
        "MAINTAIN": settings.retention.cron,
    }
    found = {f"PNEUMO_SCHEDULE_{name}": cron or "0 0 1 1 *" for name, cron in crons.items()}
    return found | {f"PNEUMO_SCHEDULE_{name}_ACTIVE": str(bool(cron)).lower() for name, cron in crons.items()}
