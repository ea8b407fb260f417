"""Acceptance stage: a registered version on labelled images of a place."""

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from pneumo.registry.acceptance import accept as registry
from pneumo.registry.acceptance.outcome import Acceptance
from pneumo.settings import Settings
from tasks import pages


@task(name="accept", task_run_name="accept", cache_policy=NO_CACHE)
def accept(
    data: str,
    calibrate: int | None,
    prevalence: float | None,
    model: str | None,
    synthetic: bool,
    settings: Settings,
    run_id: str,
) -> Acceptance:
    """Measure a version, and register a new one if there is a new operating point."""
    found = registry.accept(data, settings, settings.home, model, calibrate, prevalence, synthetic, run_id)
    pages.acceptance(found)
    get_run_logger().info("%s", found.reason)
    return found
