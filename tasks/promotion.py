"""Promotion stage: who becomes champion, and why."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from pneumo.registry import promote as registry
from pneumo.registry.reference import champion_manifest
from pneumo.settings import Settings
from pneumo.stages import DatasetVersion, Decision, Evaluation
from tasks import pages


@task(name="reference", task_run_name="reference", cache_policy=NO_CACHE)
def reference(settings: Settings, synthetic: bool, home: Path) -> Path | None:
    """The manifest of the champion's data set, that drift is measured against; none on a first run."""
    return champion_manifest(settings, synthetic, home)


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE)
def promote(
    evaluations: list[Evaluation], version: DatasetVersion, settings: Settings, home: Path, run_id: str
) -> Decision:
    """Register the best candidate by validation, and make it champion if it passes every gate."""
    decision = registry.promote(evaluations, version, settings, home, run_id)
    pages.decision_table(decision)
    return decision
