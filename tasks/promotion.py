"""Promotion stage: which version becomes champion, and why; and its rollback."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from pneumo.records.data import DatasetVersion, ShiftAudit
from pneumo.records.decision import Decision
from pneumo.records.model import Evaluation, External
from pneumo.registry import rollback as undo
from pneumo.registry.champion import champion_manifest
from pneumo.registry.promotion import state_machine as registry
from pneumo.settings import Settings
from tasks import pages
from tasks.approval import asking
from tasks.support.people import requester
from tasks.support.tracking import tracker


@task(name="reference", task_run_name="reference", cache_policy=NO_CACHE)
def reference(settings: Settings, synthetic: bool, home: Path) -> Path | None:
    """Manifest of the champion's data set, against which drift is measured; None on a first run."""
    return champion_manifest(settings, synthetic, home)


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE)
def promote(
    evaluations: list[Evaluation],
    version: DatasetVersion,
    external: list[External],
    settings: Settings,
    home: Path,
    run_id: str,
    audits: list[ShiftAudit] | None = None,
) -> Decision:
    """Register the best candidate by validation images, and make it champion if it passes every gate."""
    approve = asking(settings, requester(settings) if settings.promotion.two_people else None)
    decision = registry.promote(evaluations, version, settings, home, run_id, approve, external, audits or ())
    pages.model_card(decision, tracker())
    get_run_logger().info("%s: %s", "promoted" if decision.promoted else "not promoted", decision.reason)
    return decision


@task(name="rollback", task_run_name="rollback", cache_policy=NO_CACHE)
def rollback(settings: Settings, to: str | None, reason: str, synthetic: bool) -> Decision:
    """Make an earlier champion the champion again."""
    decision = undo.rollback(settings, settings.home, to, reason, synthetic, requester(settings))
    pages.decision_table(decision, tracker())
    return decision
