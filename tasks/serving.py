"""Batch prediction with a registered version, and which version scored what."""

from collections.abc import Callable
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from pneumo.registry.champion import chosen
from pneumo.serving.batch import scoring
from pneumo.serving.batch.scoring import Scored
from pneumo.serving.batch.table import nameless
from pneumo.serving.results import send_back as results
from pneumo.serving.results.send_back import Sent
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion
from tasks.support.tracking import tracker


def version_of(model: str | None, synthetic: bool, settings: Settings) -> ModelVersion:
    """The version at an address, or the champion: one for a whole run, even if another becomes champion meanwhile."""
    return chosen(tracker(), settings, model, synthetic)


@task(name="predict", task_run_name="predict", cache_policy=NO_CACHE)
def predict(
    paths: list[str], out: str, version: ModelVersion, threshold: float | None, settings: Settings, run_id: str
) -> Scored:
    """Score images with a registered version and a bar in Prefect; no path goes to MLflow, as it may name a patient."""
    tracking = tracker()
    tracking.runs.set_tags(run_id, {"model": version.uri, "model.name": version.name, "model.version": version.version})
    follow, doubts = _bar("predict", version.uri), settings.serve.uncertain
    done = scoring.predict(tracking, version, paths, out, settings.home, settings.data, threshold, follow, doubts)
    if done.note:
        get_run_logger().warning(done.note)
    counts = done.model_dump(include={"images", "errors", "positive", "out_of_distribution", "resumed"})
    tracking.log.metrics(run_id, {name: float(value) for name, value in counts.items()})
    tracking.log.text(run_id, nameless(done.table), "predictions.csv")
    return done


@task(name="send back", task_run_name="send back", cache_policy=NO_CACHE)
def send_back(done: Scored, version: ModelVersion, threshold: float | None, settings: Settings, run_id: str) -> Sent:
    """Store the results of scored images in the archive that they came from, with a bar in Prefect."""
    follow = _bar("send-back", version.uri)
    sent = results.send_back(tracker(), version, done.table, settings.home, settings.data, threshold, follow)
    tracker().log.metrics(run_id, {"sent_back": float(sent.sent), "sent_before": float(sent.before)})
    return sent


def _bar(key: str, words: str) -> Callable[[int, int], None]:
    """A bar on the page of the run, and what moves it."""
    bar = create_progress_artifact(progress=0.0, key=key, description=words)
    assert isinstance(bar, UUID)  # noqa: S101 - in a synchronous task the call is synchronous

    def follow(done: int, total: int) -> None:
        update_progress_artifact(bar, progress=100 * done / max(total, 1), description=f"{words}: {done} of {total}")

    return follow
