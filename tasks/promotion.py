"""Promotion stage: who becomes champion, and why."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from pneumo.registry import promote as registry
from pneumo.settings import Settings
from pneumo.stages import DatasetVersion, Decision, Evaluation
from tasks import pages


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE)
def promote(
    evaluations: list[Evaluation], version: DatasetVersion, settings: Settings, home: Path, run_id: str
) -> Decision:
    """Register the best candidate by validation, and make it champion if it passes every gate."""
    decision = registry.promote(evaluations, version, settings, home, run_id)
    pages.decision_table(decision)
    return decision
