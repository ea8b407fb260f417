"""Scheduled runs that were missed, or had to wait for another training."""

import json
from datetime import UTC, datetime
from typing import Any

from pneumo.operations.prefect_api import TRAINING_QUEUE, PrefectApi


def collapse(api: PrefectApi, flow_run_id: str) -> list[str]:
    """Cancel the other overdue runs of a run's deployment that ask for the same; returns their names."""
    run = api.run(flow_run_id)
    return drop_overdue(api, run["deployment_id"], keep=run) if run["deployment_id"] else []


def drop_overdue(api: PrefectApi, deployment: str, keep: dict[str, Any] | None = None) -> list[str]:
    """Cancel overdue runs of a deployment, so that of those with equal parameters one is left: `keep`, or the newest.

    Args:
        api: the server.
        deployment: its id.
        keep: a run that has started; only runs with its parameters are cancelled.
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
