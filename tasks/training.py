"""Training stages: a backbone each, and their ensemble."""

from collections.abc import Callable
from pathlib import Path

from prefect import task

from pneumo.errors import PneumoError
from pneumo.stages import Candidate, DatasetVersion, ImageStore
from pneumo.training import candidate as candidates
from pneumo.training.progress import OnProgress, Progress
from pneumo.training.spec import CandidateSpec
from tasks.pages import progress_bar
from tasks.reuse import keyed
from tasks.tracking import start_child, tracker


@task(name="train", task_run_name="train {spec.name}", cache_key_fn=keyed("train", "training"), persist_result=True)
def train(spec: CandidateSpec, version: DatasetVersion, store: ImageStore, home: Path, parent_run: str) -> Candidate:
    """Train one backbone in its own process, with its curve in MLflow while it grows."""
    run_id = start_child(parent_run, spec.name, spec.model_dump(mode="json", exclude={"backbone"}))
    return _recorded(run_id, spec.name, lambda follow: candidates.train(spec, version, store, run_id, home, follow))


@task(name="combine", task_run_name="combine", cache_key_fn=keyed("combine", "training"), persist_result=True)
def combine(
    members: list[Candidate], version: DatasetVersion, store: ImageStore, home: Path, parent_run: str
) -> Candidate:
    """Make the trained backbones one candidate more."""
    run_id = start_child(parent_run, candidates.ENSEMBLE, {"members": ", ".join(member.name for member in members)})
    return _recorded(
        run_id, candidates.ENSEMBLE, lambda follow: candidates.combine(members, version, store, run_id, home, follow)
    )


def _recorded(run_id: str, name: str, work: Callable[[OnProgress], Candidate]) -> Candidate:
    """Do the work with its progress on both pages; a failure ends this child run alone, with the reason."""
    try:
        return work(follower(run_id, name))
    except PneumoError as error:
        tracker().finish(run_id, "FAILED", str(error))
        raise


def follower(run_id: str, name: str) -> OnProgress:
    """Send a training's events to MLflow (metrics by epoch) and to Prefect (a progress bar)."""
    bar = progress_bar(name)

    def follow(event: Progress) -> None:
        if event.metrics:
            tracker().log_metrics(run_id, event.metrics, step=event.epoch)
        bar(event)

    return follow
