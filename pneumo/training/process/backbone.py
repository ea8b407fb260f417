"""The training of one backbone: head on frozen features, fine-tuning, scores."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pneumo.errors import TrainingError
from pneumo.evaluation.robustness.selection import Judge, judge
from pneumo.training import fine_tuning
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Images, open_images, predict
from pneumo.training.networks import architecture, pretrained_weights
from pneumo.training.networks.frozen_features import augmented, embeddings
from pneumo.training.networks.linear_head import fit_head
from pneumo.training.process.job import BackboneJob
from pneumo.training.process.progress import OnProgress, Progress


class Trained(NamedTuple):
    """Result of a job: a network, its scores of images as they are and shifted, and a row for each epoch."""

    model: Any
    predictions: pd.DataFrame
    shifted: pd.DataFrame
    history: list[dict[str, float]]


def train_backbone(job: BackboneJob, report: OnProgress) -> Trained:
    """Train and score the backbone of a job.

    Raises:
        TrainingError: the loss or a logit is NaN or infinite, or there are 0 epochs and no pretrained weights.
        WeightsError: the pretrained weights cannot be found or fetched.
    """
    images = open_images(job.version, job.store, job.fold)
    judging = judge(images)
    model, history = _fit(job, job.spec, images, judging, report)
    report(Progress(name=job.name, stage="scoring", epoch=job.spec.epochs, epochs=job.spec.epochs))
    positions = np.flatnonzero(images.rows["split"].isin(("validation", "test")))
    predictions = images.rows.iloc[positions].reset_index(drop=True)
    predictions["logit"] = predict(model, images.pixels, positions)[:, 0]
    return Trained(model, predictions, judging.shifted(model), history)


def load_model(path: Path) -> Any:
    """Load a network from a .keras file in Keras's safe mode."""
    import keras

    return keras.saving.load_model(path, safe_mode=True)


def _fit(
    job: BackboneJob, spec: CandidateSpec, images: Images, judging: Judge, report: OnProgress
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
    model = architecture.finished(model)
    if spec.views > 1:
        model = architecture.averaged_over_views(model)
    return model, history


def _set_head(job: BackboneJob, spec: CandidateSpec, model: Any, images: Images) -> None:
    source = (job.store, job.home)
    views = [embeddings(spec, model, images, "train", *source)]
    if spec.augmentation > 0:
        views.append(augmented(spec, model, images, "train", *source))
    targets = np.tile(images.targets(images.of("train")), len(views))
    held_out, truth = embeddings(spec, model, images, "validation", *source), images.targets(images.of("validation"))
    head = fit_head(np.concatenate(views), targets, held_out, truth)
    model.get_layer("logit").set_weights(head)
