"""Candidates: one for each backbone, and their ensemble; a finished one is not trained again."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from pneumo.cache import code_version, is_kept, stage_key, tell_made
from pneumo.errors import TrainingError
from pneumo.records.base import ENSEMBLE
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Fold, pictures_key
from pneumo.training.networks import pretrained_weights
from pneumo.training.process.isolate import run
from pneumo.training.process.job import BackboneJob, EnsembleJob, read, result_folder
from pneumo.training.process.perform import perform
from pneumo.training.process.progress import OnProgress, Progress, silent

# Source code on which a trained model depends; folds keep groups of patients together.
CODE = (
    *("training", "evaluation/robustness/selection.py", "evaluation/robustness/simulated_shift.py"),
    *("data/splits.py", "data/quality/near_duplicates.py"),
)


def train(
    spec: CandidateSpec,
    version: DatasetVersion,
    store: ImageStore,
    run_id: str,
    home: Path,
    on_progress: OnProgress = silent,
    threads: int | None = None,
) -> Candidate:
    """Train one backbone in a process of its own; one that was trained before is returned at once.

    Args:
        run_id: MLflow run of the candidate.
        on_progress: called with every event, in this process.
        threads: number that the training process uses; by default all cores.

    Raises:
        WeightsError: the pretrained weights cannot be found or fetched.
        TrainingError: the training failed or its process died; the message says how.
    """
    if spec.size != store.size:
        raise TrainingError(f"Expected images of {spec.size} pixels for {spec.name}, got {store.size}: decode again.")
    key = train_key(spec, version, store, home)
    same = {"name": spec.name, "version": version, "store": store, "run_id": run_id, "home": home}
    if spec.folds == 1:
        return _isolated(BackboneJob(key=key, spec=spec, **same), on_progress, threads)
    if is_trained(key, home):
        return read(result_folder(home, key), run_id)
    members = []
    for number in range(spec.folds):
        fold = Fold(number=number, count=spec.folds)
        job = BackboneJob(key=stage_key("fold", candidate=key, number=number), spec=spec, fold=fold, **same)
        members.append(_isolated(job, _as_one(on_progress, spec, number), threads))
    mean = EnsembleJob(key=key, members=tuple(members), **same)
    return _isolated(mean, _as_one(on_progress, spec, spec.folds), threads)


def combine(
    candidates: Sequence[Candidate],
    version: DatasetVersion,
    store: ImageStore,
    run_id: str,
    home: Path,
    on_progress: OnProgress = silent,
) -> Candidate:
    """Combine candidates to a single model whose logit is the mean of theirs.

    This is done in this process: nothing is computed but means, and evaluation, which comes next, needs Keras as well.

    Raises:
        TrainingError: there are fewer than two.
    """
    if len(candidates) < 2:
        raise TrainingError(f"Expected two or more candidates to combine, got {len(candidates)}: name more backbones.")
    key = stage_key(
        "combine",
        members=sorted(candidate.key for candidate in candidates),
        version=version.digest,
        store=store.key,
        code=code_version(*CODE),
    )
    members = tuple(sorted(candidates, key=lambda candidate: candidate.name))
    job = EnsembleJob(name=ENSEMBLE, key=key, version=version, store=store, run_id=run_id, home=home, members=members)
    return _done(job, lambda: perform(job, on_progress))


def train_key(spec: CandidateSpec, version: DatasetVersion, store: ImageStore, home: Path) -> str:
    """Key of a backbone's result: the same settings, weights, data, code and libraries give the same key.

    Raises:
        WeightsError: the pretrained weights cannot be found or fetched.
    """
    return stage_key(
        "train",
        spec=spec.model_dump(mode="json", exclude={"weights"}),
        weights=pretrained_weights.identity(spec, home),
        version=version.digest,
        pictures=pictures_key(version) if spec.folds > 1 else None,
        store=store.key,
        code=code_version(*CODE),
    )


def _as_one(on_progress: OnProgress, spec: CandidateSpec, fold: int) -> OnProgress:
    """Tell of all folds as of one long training: epochs counted on, one start and one end.

    Args:
        fold: its number from 0; `spec.folds` for the mean of all.
    """
    later = max(spec.folds - fold - 1, 0) * spec.epochs

    def follow(event: Progress) -> None:
        if (event.stage == "start" and fold > 0) or (event.stage == "done" and fold < spec.folds):
            return
        left = event.seconds_left
        if left is not None and event.rate:
            left += later * event.steps * spec.batch_size / event.rate
        counted = {"epoch": event.epoch + fold * spec.epochs, "epochs": spec.folds * spec.epochs}
        on_progress(event.model_copy(update={**counted, "seconds_left": left}))

    return follow


def is_trained(key: str, home: Path) -> bool:
    """Whether a finished training with this key is kept here."""
    return is_kept(home / "cache" / "train" / key)


def _isolated(job: BackboneJob | EnsembleJob, on_progress: OnProgress, threads: int | None) -> Candidate:
    return _done(job, lambda: run(job, on_progress, threads))


def _done(job: BackboneJob | EnsembleJob, work: Callable[[], Candidate]) -> Candidate:
    """The candidate of a job; if it is not finished, `work` finishes it."""
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(job.folder.with_suffix(".lock")):
        if not is_kept(job.folder):
            work()
            tell_made(job.folder)
            shutil.rmtree(job.checkpoint.parent, ignore_errors=True)
        return read(job.folder, job.run_id)
