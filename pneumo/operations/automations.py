"""Automations of Prefect that mark flow runs as Crashed when their process, or their whole machine, is gone.

Each run sends a heartbeat every half minute, from whatever machine it runs on. So it does not matter that a machine
cannot see another one's processes, and none closes the runs of another.
"""

from collections.abc import Collection
from typing import Any

from pneumo.operations.prefect_api import OUTAGE_SECONDS, PrefectApi
from pneumo.settings.servers import Pool

HEARTBEAT_SECONDS = 30
SILENCE_SECONDS = OUTAGE_SECONDS + 4 * HEARTBEAT_SECONDS  # a run survives an outage, without heartbeats
# Seconds from the moment a worker takes a run to its first line. A Kubernetes job may wait for its pod as long as
# infra/kubernetes/base/job-template.json says (pod_watch_timeout_seconds).
START_SECONDS = {"process": 600, "kubernetes": 1800}
HEARTBEAT, PENDING = "prefect.flow-run.heartbeat", "prefect.flow-run.Pending"
ENDS = tuple(f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "TimedOut", "Cancelled", "Crashed"))
STARTS = ("prefect.flow-run.Running", "prefect.flow-run.Scheduled", HEARTBEAT)


def ensure_automations(
    api: PrefectApi, pool: Pool, silence: float = SILENCE_SECONDS, start: float | None = None
) -> None:
    """Create or renew both automations for the deployments of pneumo's pool; other flow runs are not watched.

    Args:
        api: the server.
        pool: its type says how long a run may take to start.
        silence: seconds without a heartbeat after which a run is dead.
        start: seconds that a run may stay Pending; by default as in START_SECONDS.
    """
    deployments = api.deployments().values()
    start = start or START_SECONDS[pool.type]
    silent = f"no heartbeat for {silence:.0f} s: its process or machine is gone"
    api.ensure_automation(_crash("pneumo: silent runs", HEARTBEAT, (HEARTBEAT, *ENDS), silence, deployments, silent))
    stuck = f"Pending for {start:.0f} s: whoever took it is gone"
    api.ensure_automation(_crash("pneumo: runs never started", PENDING, (*STARTS, *ENDS), start, deployments, stuck))


def _crash(
    name: str, after: str, expect: Collection[str], within: float, deployments: Collection[str], message: str
) -> dict[str, Any]:
    """Mark a run as Crashed if no event of `expect` comes in time; one that has ended meanwhile is left as it is."""
    return {
        "name": name,
        "description": "Registered by pneumo together with its deployments.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "after": [after],
            "expect": list(expect),
            "match": {"prefect.resource.id": "prefect.flow-run.*"},
            "match_related": {
                "prefect.resource.role": "deployment",
                "prefect.resource.id": sorted(f"prefect.deployment.{one}" for one in deployments),
            },
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": within,
        },
        "actions": [{"type": "change-flow-run-state", "state": "CRASHED", "message": f"Crashed: {message}"}],
    }
