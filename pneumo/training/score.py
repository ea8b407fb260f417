"""How candidates are judged: on validation images as they are, and under a simulated change of acquisition."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pneumo.training.images import Images, apply
from pneumo.training.shift import SHIFTS, mixture, shifted

SAMPLE = 400  # validation images that are shifted: ten shifts of all would cost as much as an epoch


@dataclass(frozen=True)
class Judge:
    """Scores networks on the validation split; the test split is out of its reach.

    `sample` are positions of validation images, both classes as even as they come; `mixed` their pixels, each under
    some shift.
    """

    images: Images
    validation: np.ndarray
    sample: np.ndarray
    mixed: np.ndarray

    def epoch(self, network: Any) -> dict[str, float]:
        """Scores after an epoch: validation AUC, AUC of the mixed shifts, and their mean, which picks the epoch."""
        clean = auc(self.images.targets(self.validation), apply(network, self.images.pixels, self.validation))
        moved = auc(self.images.targets(self.sample), apply(network, self.mixed))
        return {"validation_auc": clean, "mixed_auc": moved, "score": (clean + moved) / 2}

    def clean(self, predictions: pd.DataFrame) -> float:
        """Validation AUC from a table of predictions."""
        rows = predictions[predictions["split"] == "validation"]
        return auc((rows["label"] == "PNEUMONIA").to_numpy(), rows["logit"].to_numpy())

    def shifts(self, network: Any) -> dict[str, float]:
        """AUC under each shift of `SHIFTS`."""
        pixels, targets = self.images.pixels[self.sample], self.images.targets(self.sample)
        return {name: auc(targets, apply(network, shifted(pixels, name))) for name in SHIFTS}


def judge(images: Images, seed: int = 0) -> Judge:
    """A judge for a data set; the seed draws its sample and shifts, the same for every candidate."""
    validation = images.of("validation")
    generator, targets = np.random.default_rng(seed), images.targets(validation)
    classes = [generator.permutation(validation[targets == value]) for value in (0, 1)]
    share = min(len(classes[0]), len(classes[1]), SAMPLE // 2)
    fill = SAMPLE - share
    sample = np.sort(np.concatenate([part[: share if len(part) == share else fill] for part in classes]))
    return Judge(images, validation, sample, mixture(images.pixels[sample], seed))


def selection_score(validation_auc: float, shifted_auc: float) -> float:
    """What picks the candidate: the mean of AUC on validation and of AUC under shifts, averaged over shifts."""
    return (validation_auc + shifted_auc) / 2


def auc(targets: np.ndarray, logits: np.ndarray) -> float:
    """Area under the ROC curve, 0 to 1."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(targets, logits.reshape(-1)))
