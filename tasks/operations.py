"""What every flow does first and last, and what a scheduled one checks before."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from pneumo.monitoring import retraining
from pneumo.operations import doctor, estimate, retention
from pneumo.operations.flow_runs import claims, overdue, reconcile
from pneumo.operations.flow_runs.summary import Summary
from pneumo.operations.notification_texts import decided, run_failed
from pneumo.operations.prefect_api import OUTAGE_SECONDS, PrefectApi, address
from pneumo.records.data import DatasetVersion, Inventory, ShiftAudit
from pneumo.records.decision import Decision
from pneumo.registry.promotion import promotion_lock
from pneumo.registry.promotion.severity import require_known
from pneumo.settings import Settings, load_settings
from pneumo.training.candidates import given_files
from pneumo.training.candidates.spec import CandidateSpec
from tasks import pages
from tasks.support.naming import tag_run, without_source
from tasks.support.notification_channels import notify
from tasks.support.tracking import tracker

_guarded: set[str] = set()  # flow runs of this process, one or none


@contextmanager
def guard() -> Iterator[Settings]:
    """Claim the run for this process, close dead runs, and check all that a run needs; a failure is notified.

    They are told its kind: the words and the source, which may quote a path and so a patient, stay on the run's page.

    Within a flow that is guarded already it does nothing.
    """
    settings, run = load_settings(), str(flow_run.id)
    if run in _guarded:
        yield settings
        return
    _guarded.add(run)
    with _one_prefect(), claims.claimed(settings.home, run, flow_run.run_count):
        try:
            close_dead(settings)
            preflight(settings)
            yield settings
        except Exception as error:  # whatever it is: it is told, and raised again
            notify(run_failed(without_source(), error, _page()), settings)
            raise
        finally:
            _guarded.discard(run)


def close_dead(settings: Settings) -> None:
    """Close the runs whose processes are gone, and notify."""
    for closed in reconcile.reconcile(settings, OUTAGE_SECONDS):
        get_run_logger().warning(closed.message.text)
        notify(closed.message, settings)


@task(name="doctor", task_run_name="doctor", cache_policy=NO_CACHE)
def preflight(settings: Settings) -> None:
    """Check all that a run needs, show it in Prefect, and stop here if something is missing."""
    require_known(settings.promotion)
    rows = doctor.examine(settings)
    pages.doctor_table(rows)
    doctor.require(rows)


def collapse(settings: Settings) -> None:
    """Cancel the other overdue runs of this deployment: this one does what they were for."""
    for name in overdue.collapse(_api(settings), str(flow_run.id)):
        get_run_logger().info("%s was overdue too: cancelled, this run stands for it", name)


def collided(settings: Settings) -> str:
    """With `retrain.collision: cancel`, the reason to cancel this run, if another training held the slot."""
    return overdue.collided(_api(settings), str(flow_run.id)) if settings.retrain.collision == "cancel" else ""


def model_run(
    settings: Settings, source: str | None, inventory: Inventory | None = None
) -> retraining.RepeatableRun | None:
    """The run whose recipe is to be repeated, for the images of a source."""
    return retraining.model_run(tracker(), settings, source, inventory.synthetic if inventory else None)


def usual_source(settings: Settings) -> str | None:
    """The source of the champion's run, or else of the last successful run."""
    last = model_run(settings, None)
    return last.recipe["data"] if last else None


def complete(recipe: Mapping[str, Any], flow: Callable[..., Any]) -> dict[str, Any]:
    """A recipe, however old, for a flow as it is today; unknown parameters are left out with a warning."""
    defaults = {name: parameter.default for name, parameter in signature(flow).parameters.items()}
    found, unknown = retraining.complete(recipe, defaults)
    for name in unknown:
        get_run_logger().warning("the recipe has %s=%r, which train no longer knows: left out", name, recipe[name])
    return found


def due(
    last: retraining.RepeatableRun | None,
    digest: str,
    inventory: Inventory,
    recipe: Mapping[str, Any],
    settings: Settings,
) -> tuple[str, str]:
    """Why to train now, and why not to, in words; the first counts if the second is empty."""
    now = _tags(digest, inventory, recipe, settings)
    return retraining.cause(last, now) if last else "no run has succeeded yet", retraining.tried(tracker(), now)


def log_line(words: str) -> None:
    """Write a line to the run's log."""
    get_run_logger().info(words)


@task(name="clean", task_run_name="clean", cache_policy=NO_CACHE)
def clean(settings: Settings, apply: bool) -> str:
    """Show what is old and needed by nobody, and delete it if `apply`; returns the outcome in words."""
    found, unknown = retention.plan(settings, partial(promotion_lock.still, settings)), retention.unknown(settings)
    items = [item for item, _ in found]
    pages.clean_table([*items, *unknown])
    if apply:
        items = retention.apply(found, settings)
    outcome = "deleted" if apply else "nothing was touched, retention.apply is false"
    return f"{retention.words(items, unknown, outcome)}."


def note_cause(
    version: DatasetVersion, inventory: Inventory, recipe: Mapping[str, Any], settings: Settings, run_id: str
) -> None:
    """Tag the MLflow run for the next retraining; before the training, so that a failed one counts, too."""
    tracker().runs.set_tags(run_id, _tags(version.digest, inventory, recipe, settings))


def _tags(digest: str, inventory: Inventory, recipe: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    files = given_files.contents(recipe, inventory.synthetic, settings.home, settings.data)
    return retraining.tags(digest, inventory.key, recipe, settings, files)


def conclude(result: Summary, judged: Decision, audits: Sequence[ShiftAudit], settings: Settings) -> None:
    """Show the outcome on the run's page, before what its tasks show, and notify people of it."""
    decision = result.decision
    pages.decision_table(judged, tracker(), audits)
    pages.leaderboard(result.candidates)
    tag_run("promoted" if decision.promoted else "not promoted")
    notify(decided(decision, result.mlflow_url), settings)


def require_space(version: DatasetVersion, specs: Sequence[CandidateSpec], home: Path) -> None:
    """Stop before the work starts if the disk cannot hold what it will write."""
    needed = estimate.disk(version.images, specs[0].size, [spec.backbone.name for spec in specs], specs[0].folds)
    doctor.require_space(needed, home)


@contextmanager
def _one_prefect() -> Iterator[None]:
    """Have `pneumo/` use the server that runs this flow.

    It reads PREFECT_API_URL, which a worker sets. A flow that is called from Python may have its server's address in a
    profile, or a server that Prefect started for this process alone.
    """
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    os.environ["PREFECT_API_URL"] = str(get_client(sync_client=True).api_url)
    try:
        yield
    finally:
        del os.environ["PREFECT_API_URL"]


def _page() -> str:
    return flow_run.ui_url or ""


def _api(settings: Settings) -> PrefectApi:
    return PrefectApi(address(settings), patience=OUTAGE_SECONDS)
