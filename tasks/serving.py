"""Batch prediction with a registered version, and which version scored what."""

from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from pneumo.registry.champion import chosen
from pneumo.serving.batch import scoring
from pneumo.serving.batch.output import nameless
from pneumo.serving.batch.scoring import Scored
from pneumo.settings import Settings
from tasks.support.tracking import tracker


@task(name="predict", task_run_name="predict", cache_policy=NO_CACHE)
def predict(
    paths: list[str],
    out: str,
    model: str | None,
    threshold: float | None,
    synthetic: bool,
    settings: Settings,
    run_id: str,
) -> Scored:
    """Score images with a registered version and a bar in Prefect; no path goes to MLflow, as it may name a patient."""
    tracking = tracker()
    version = chosen(tracking, settings, model, synthetic)
    tracking.runs.set_tags(run_id, {"model": version.uri, "model.name": version.name, "model.version": version.version})
    bar = create_progress_artifact(progress=0.0, key="predict", description=version.uri)
    assert isinstance(bar, UUID)  # noqa: S101 - in a synchronous task the call is synchronous

    def follow(done: int, total: int) -> None:
        update_progress_artifact(bar, progress=100 * done / total, description=f"{version.uri}: {done} of {total}")

    place, doubts = settings.data.s3_endpoint, settings.serve.uncertain
    done = scoring.predict(tracking, version, paths, out, settings.home, threshold, place, follow, doubts)
    if done.note:
        get_run_logger().warning(done.note)
    counts = done.model_dump(include={"images", "errors", "positive", "out_of_distribution", "resumed"})
    tracking.log.metrics(run_id, {name: float(value) for name, value in counts.items()})
    tracking.log.text(run_id, nameless(done.table), "predictions.csv")
    return done
