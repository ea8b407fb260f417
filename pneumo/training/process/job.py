"""What a training process does: from a job to the files of a candidate."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pneumo.cache import written_once
from pneumo.errors import TrainingError
from pneumo.evaluation.robustness.selection import (
    Judge,
    auc_by_shift,
    judge,
    selection_score,
    shifted_auc,
    validation_auc,
)
from pneumo.stages import SHIFTED, Candidate, DatasetVersion, ImageStore, Record
from pneumo.training import fine_tuning
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Fold, Images, open_images, predict
from pneumo.training.networks import architecture, pretrained_weights
from pneumo.training.networks.ensemble import mean_logits
from pneumo.training.networks.frozen_features import augmented, embeddings
from pneumo.training.networks.linear_head import fit_head
from pneumo.training.process.progress import OnProgress, Progress

FILES = ("model.keras", "predictions.parquet", SHIFTED, "history.json", "candidate.json")


class Job(Record):
    """A training to do: a backbone's if there is a spec, else one network of finished ones.

    `fold` is the part of the patients that a backbone is trained without; None: the version's own validation split.
    Members of its own name are folds of it, and their minutes count as its own.
    """

    name: str
    key: str
    version: DatasetVersion
    store: ImageStore
    run_id: str
    home: Path
    spec: CandidateSpec | None = None
    fold: Fold | None = None
    members: tuple[Candidate, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the result lies."""
        return result_folder(self.home, self.key)

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished training is kept."""
        return checkpoint_file(self.home, self.key)


def result_folder(home: Path, key: str) -> Path:
    """Where a finished training with this key lies."""
    return home / "cache" / "train" / key


def checkpoint_file(home: Path, key: str) -> Path:
    """Where an unfinished training with this key is kept."""
    return home / "checkpoints" / key / "checkpoint.npz"


def perform(job: Job, report: OnProgress) -> Candidate:
    """Train, score and write a candidate; its folder appears when it is complete."""
    begun = time.monotonic()
    report(Progress(name=job.name, stage="start"))
    found = _combined(job) if job.spec is None else _trained(job, job.spec, report)
    candidate = _write(job, found, begun)
    report(Progress(name=job.name, stage="done", metrics=figures(candidate)))
    return candidate


def figures(candidate: Candidate) -> dict[str, float]:
    """A candidate's figures by name."""
    return {name: getattr(candidate, name) for name in ("validation_auc", "shifted_auc", "selection_score", "minutes")}


def read(folder: Path, run_id: str) -> Candidate:
    """A finished candidate as the result of another run."""
    stored = Candidate.model_validate_json((folder / "candidate.json").read_text(encoding="utf-8"))
    places = {"model": folder / "model.keras", "predictions": folder / "predictions.parquet"}
    return stored.model_copy(update={"run_id": run_id, **places})


class Found(NamedTuple):
    """What a job comes to: a network, what it says of images as they are and shifted, and a row per epoch."""

    model: Any
    predictions: pd.DataFrame
    shifted: pd.DataFrame
    history: list[dict[str, float]]


def _trained(job: Job, spec: CandidateSpec, report: OnProgress) -> Found:
    images = open_images(job.version, job.store, job.fold)
    judging = judge(images)
    model, history = _backbone(job, spec, images, judging, report)
    report(Progress(name=job.name, stage="scoring"))
    positions = np.flatnonzero(images.rows["split"].isin(("validation", "test")))
    predictions = images.rows.iloc[positions].reset_index(drop=True)
    predictions["logit"] = predict(model, images.pixels, positions)[:, 0]
    return Found(model, predictions, judging.shifted(model), history)


def _combined(job: Job) -> Found:
    """The mean of networks; what it says is the mean of what they said, so nothing is computed again."""
    models = {f"{member.name} {number}": load_model(member.model) for number, member in enumerate(job.members, start=1)}

    def mean(name: str) -> pd.DataFrame:
        return mean_logits([pd.read_parquet(member.model.with_name(name)) for member in job.members])

    return Found(architecture.combine(models), mean("predictions.parquet"), mean(SHIFTED), [])


def load_model(path: Path) -> Any:
    """A network of ours, in Keras's safe mode."""
    import keras

    return keras.saving.load_model(path, safe_mode=True)


def _backbone(
    job: Job, spec: CandidateSpec, images: Images, judging: Judge, report: OnProgress
) -> tuple[Any, list[dict[str, float]]]:
    import keras

    keras.utils.set_random_seed(spec.seed)
    keras.config.set_dtype_policy(spec.precision)
    model = architecture.build(spec, pretrained_weights.load_backbone(spec, job.home))
    if spec.pretrained:
        report(Progress(name=job.name, stage="features"))
        _set_head(job, spec, model, images)
    elif spec.epochs == 0:
        raise TrainingError(f"Expected epochs above 0 for {spec.name} without pretrained weights, got 0: raise epochs.")
    history = fine_tuning.fine_tune(spec, model, images, judging, job.checkpoint, report) if spec.epochs else []
    if spec.precision != "float32":
        model = architecture.in_full_precision(model)  # judged, kept and served with all digits
    if spec.views > 1:
        model = architecture.averaged_over_views(model)
    return model, history


def _set_head(job: Job, spec: CandidateSpec, model: Any, images: Images) -> None:
    source = (job.store, job.home)
    views = [embeddings(spec, model, images, "train", *source)]
    if spec.augmentation > 0:
        views.append(augmented(spec, model, images, "train", *source))
    targets = np.tile(images.targets(images.of("train")), len(views))
    held_out, truth = embeddings(spec, model, images, "validation", *source), images.targets(images.of("validation"))
    head = fit_head(np.concatenate(views), targets, held_out, truth)
    model.get_layer("logit").set_weights(head)


def _write(job: Job, found: Found, begun: float) -> Candidate:
    if not (np.isfinite(found.predictions["logit"]).all() and np.isfinite(found.shifted["logit"]).all()):
        raise TrainingError(f"Expected finite logits of {job.name}, got NaN or infinity: lower the learning rate.")
    validation, together = validation_auc(found.predictions), shifted_auc(found.shifted)
    candidate = Candidate(
        name=job.name,
        key=job.key,
        run_id=job.run_id,
        model=job.folder / "model.keras",
        predictions=job.folder / "predictions.parquet",
        validation_auc=validation,
        shifted_auc=together,
        selection_score=selection_score(validation, together),
        minutes=(time.monotonic() - begun) / 60
        + sum(member.minutes for member in job.members if member.name == job.name),
    )
    facts = {"epochs": found.history, "shifts": auc_by_shift(found.shifted), "peak_memory_gib": _peak_memory()}
    with written_once(job.folder) as folder:
        found.model.save(folder / "model.keras")
        found.predictions.to_parquet(folder / "predictions.parquet")
        found.shifted.to_parquet(folder / SHIFTED)
        (folder / "history.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        (folder / "candidate.json").write_text(candidate.model_dump_json(indent=1), encoding="utf-8")
    return candidate


def _peak_memory() -> float:
    unit = 2**30 if sys.platform == "darwin" else 2**20  # Linux counts in KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)
