"""Training stages: each backbone, and their ensemble."""

from collections.abc import Callable, Sequence
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from pneumo.errors import PneumoError, TrainingKilledError
from pneumo.records.base import ENSEMBLE, Fit
from pneumo.records.data import DatasetVersion, ImageStore, Vectors
from pneumo.records.model import Candidate
from pneumo.settings import Settings, load_settings
from pneumo.training.candidates import candidate as candidates
from pneumo.training.candidates import linear_probe
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.process import remote
from pneumo.training.process.progress import OnProgress, Progress
from tasks import data
from tasks.pages import progress_bar
from tasks.support.stage import stage
from tasks.support.tracking import cancelled, show_curve, start_child, tracker


@stage("train", run_name="train {spec.name}")
def train(
    spec: CandidateSpec,
    version: DatasetVersion,
    store: ImageStore,
    home: Path,
    parent_run: str,
    threads: int | None = None,
) -> Candidate:
    """Train one backbone in its own process, and log its curve to MLflow epoch by epoch."""
    run_id = start_child(parent_run, spec.name, spec.model_dump(mode="json", exclude={"backbone"}))
    return _recorded(
        run_id, spec.name, lambda follow: candidates.train(spec, version, store, run_id, home, follow, threads)
    )


@task(name="train", task_run_name="train {spec.name}", cache_policy=NO_CACHE)
def train_elsewhere(spec: CandidateSpec, digest: str, fit: Fit, parent_run: str) -> Candidate:
    """`train` on a machine of a cluster, with that machine's settings and with data found by their digest."""
    settings = load_settings()
    run_id = start_child(parent_run, spec.name, spec.model_dump(mode="json", exclude={"backbone"}))

    def work(follow: OnProgress) -> Candidate:
        version, store = remote.prepare_data(digest, spec.size, fit, settings)
        key = candidates.train_key(spec, version, store, settings.home)
        remote.fetch_checkpoint(key, settings)
        follow = remote.mirrored(key, settings, follow)
        done = candidates.train(spec, version, store, run_id, settings.home, follow, settings.engine.cpus)
        remote.upload_candidate(done, settings)
        return done

    return _recorded(run_id, spec.name, work)


@stage("linear", run_name="train {vectors.candidate}")
def train_linear(vectors: Vectors, version: DatasetVersion, home: Path, parent_run: str) -> Candidate:
    """Train a linear model on embeddings that were made elsewhere."""
    facts = vectors.model_dump(mode="json", include={"source", "width", "images", "others"})
    run_id = start_child(parent_run, vectors.candidate, facts)
    return _recorded(
        run_id, vectors.candidate, lambda follow: linear_probe.train_linear(vectors, version, run_id, home, follow)
    )


def train_on_embeddings(
    places: Sequence[str], version: DatasetVersion, settings: Settings, parent_run: str
) -> list[tuple[Candidate, Vectors]]:
    """A candidate for each file of embeddings; this takes seconds, so errors come before hours of training."""
    found = data.bring_in_embeddings(places, version, settings) if places else []
    return [(train_linear(item, version, settings.home, parent_run), item) for item in found]


@stage("combine")
def combine(
    members: list[Candidate], version: DatasetVersion, store: ImageStore, home: Path, parent_run: str
) -> Candidate:
    """Combine the trained backbones to one more candidate."""
    run_id = start_child(parent_run, ENSEMBLE, {"members": ", ".join(member.name for member in members)})
    return _recorded(run_id, ENSEMBLE, lambda follow: candidates.combine(members, version, store, run_id, home, follow))


def _recorded(run_id: str, name: str, work: Callable[[OnProgress], Candidate]) -> Candidate:
    """Do the work, with its progress on both pages; a failure ends only this child run, with the reason."""
    seen: list[int] = []
    follow = follower(run_id, name, seen)
    try:
        with tracker().runs.watched(run_id):
            candidate = _once_more(work, follow)
    except PneumoError as error:
        tracker().runs.finish(run_id, "FAILED", str(error))
        raise
    words = "%s: ROC AUC %.4f on validation, %.1f min"
    get_run_logger().info(words, name, candidate.validation_auc, candidate.minutes)
    if not seen:  # an earlier run had finished it
        show_curve(candidate, run_id)
    return candidate


def _once_more(work: Callable[[OnProgress], Candidate], follow: OnProgress) -> Candidate:
    """Try a training again, from its checkpoint, if its process was killed; a second time is no accident.

    Not by Prefect's `retries`: the second try goes on in the same MLflow run and progress bar, which a retried task
    would have closed.
    """
    try:
        return work(follow)
    except TrainingKilledError as error:
        if cancelled():
            raise
        get_run_logger().warning("%s; once more, from its checkpoint", str(error).splitlines()[0])
        return work(follow)


def follower(run_id: str, name: str, seen: list[int]) -> OnProgress:
    """Send a training's events to MLflow (metrics by epoch) and to Prefect (a progress bar); `seen` gets the epochs."""
    bar = progress_bar(name)

    def follow(event: Progress) -> None:
        if event.metrics:
            seen.append(event.epoch)
            tracker().log.metrics(run_id, event.metrics, step=event.epoch)
        bar(event)

    return follow
