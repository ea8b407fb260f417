"""Figures of a network on patients held out: as they are, changed, against exposure, and with one aspect."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.aspect import same_aspect
from pneumo.records.base import SHIFTED
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.training.dataset_images import Images


def scores(candidate: Candidate, version: DatasetVersion, store: ImageStore, against: set[str]) -> dict[str, float]:
    """Figures of held-out patients and of those `against` exposure: as they are, changed, and with one aspect."""
    import keras

    from pneumo.evaluation.robustness.selection import judge
    from pneumo.training.dataset_images import open_images

    images = open_images(version, store)
    own = ~images.rows["path"].isin(against)
    renamed = images.rows.assign(split=np.where(own & (images.rows["split"] == "test"), "validation", "train"))
    sample = judge(type(images)(renamed, images.pixels)).sample
    network = keras.saving.load_model(candidate.model, safe_mode=True)
    truth = images.targets(sample)
    unseen = changed(network, images.pixels[sample])
    return {
        **as_they_are(candidate, against),
        "under unseen change": mean_auc(truth, unseen),
        "log loss under unseen change": loss(candidate, truth, unseen),
        **with_one_aspect(network, images, sample, np.flatnonzero(~own)),
    }


def as_they_are(candidate: Candidate, against: set[str]) -> dict[str, float]:
    """AUC of the scores that training wrote."""
    told = pd.read_parquet(candidate.predictions)
    contrary_ones = told["path"].isin(against)
    parts = {"held out": told[(told["split"] == "test") & ~contrary_ones], "against exposure": told[contrary_ones]}
    return {name: mean_auc(part["label"] == "PNEUMONIA", [part["logit"]]) for name, part in parts.items()}


def with_one_aspect(network: Any, images: Images, sample: np.ndarray, contrary_ones: np.ndarray) -> dict[str, float]:
    """AUC of images that are distorted alike in both classes: as they are otherwise, changed, and against exposure."""
    from pneumo.training.dataset_images import predict

    truth, opposed = images.targets(sample), images.targets(contrary_ones)
    alike = same_aspect(images.pixels[sample], truth, 1)
    others = same_aspect(images.pixels[contrary_ones], opposed, 2)
    return {
        "one aspect": mean_auc(truth, [predict(network, alike)[:, 0]]),
        "one aspect, under unseen change": mean_auc(truth, changed(network, alike)),
        "one aspect, against exposure": mean_auc(opposed, [predict(network, others)[:, 0]]),
    }


def changed(network: Any, pixels: np.ndarray) -> list[np.ndarray]:
    """Logits under unseen change, three times, so that each image has three of the families."""
    from pneumo.evaluation.robustness.simulated_shift import UNSEEN, mixture
    from pneumo.training.dataset_images import predict

    names = np.array(list(UNSEEN))
    kinds = [names[(np.arange(len(pixels)) + turn) % len(names)] for turn in range(3)]
    return [predict(network, mixture(pixels, kind, turn, UNSEEN))[:, 0] for turn, kind in enumerate(kinds)]


def mean_auc(truth: Any, logits: Sequence[Any]) -> float:
    """Mean AUC of several scores of the same images."""
    from pneumo.evaluation.robustness.selection import auc

    return float(np.mean([auc(np.asarray(truth), np.asarray(found)) for found in logits]))


def loss(candidate: Candidate, truth: np.ndarray, logits: Sequence[np.ndarray]) -> float:
    """Log loss at the operating point that evaluation fits."""
    from sklearn.metrics import log_loss

    from pneumo.evaluation.measures import fit_operating
    from pneumo.evaluation.statistics.calibration import probability

    told = pd.read_parquet(candidate.predictions)
    shifted = pd.read_parquet(candidate.predictions.with_name(SHIFTED))
    point = fit_operating(told[told["split"] == "validation"], shifted, 0.95)
    called = probability(np.concatenate(logits), point.temperature, point.offset)
    return float(log_loss(np.tile(truth, len(logits)), called))
