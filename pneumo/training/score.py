"""How candidates are judged: on validation images as they are, and under a simulated change of acquisition."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pneumo.training.images import Images, apply
from pneumo.training.shift import SHIFTS, mixture

SAMPLE = 400  # validation images that are shifted, which bounds memory
ROUNDS = 3  # shifts that each of them goes through; all ten would cost as much as an epoch


@dataclass(frozen=True)
class Judge:
    """Scores networks on the validation split; the test split is out of its reach.

    `sample` are positions of validation images, both classes as even as they come. `kinds` has a row per round: the
    shift that each of them is put under.
    """

    images: Images
    validation: np.ndarray
    sample: np.ndarray
    kinds: np.ndarray

    def epoch(self, network: Any) -> dict[str, float]:
        """Scores after an epoch: AUC on validation images, under one round of shifts, and their mean."""
        clean = auc(self.images.targets(self.validation), apply(network, self.images.pixels, self.validation)[:, 0])
        shifted = auc(self.images.targets(self.sample), self._round(network, 0))
        return {"validation_auc": clean, "shifted_auc": shifted, "score": selection_score(clean, shifted)}

    def clean(self, predictions: pd.DataFrame) -> float:
        """Validation AUC from a table of predictions."""
        rows = predictions[predictions["split"] == "validation"]
        return auc((rows["label"] == "PNEUMONIA").to_numpy(), rows["logit"].to_numpy())

    def shifts(self, network: Any) -> tuple[float, dict[str, float]]:
        """AUC of images under mixed shifts, scored together, and AUC under each shift.

        Together is harder: a shift that moves all logits one way costs nothing by itself, but it does beside others,
        as it does at a fixed threshold.
        """
        targets = self.images.targets(self.sample)
        logits = np.stack([self._round(network, number) for number in range(ROUNDS)])
        together = float(np.mean([auc(targets, found) for found in logits]))
        truth = np.tile(targets, (ROUNDS, 1))
        parts = {name: (truth[self.kinds == name], logits[self.kinds == name]) for name in SHIFTS}
        return together, {name: auc(*part) for name, part in parts.items() if len(set(part[0])) == 2}

    def _round(self, network: Any, number: int) -> np.ndarray:
        moved = mixture(self.images.pixels[self.sample], self.kinds[number], number)
        return apply(network, moved)[:, 0]


def judge(images: Images, seed: int = 0) -> Judge:
    """A judge for a data set; the seed draws its sample, the same for every candidate."""
    validation = images.of("validation")
    generator, targets = np.random.default_rng(seed), images.targets(validation)
    classes = [generator.permutation(validation[targets == value]) for value in (0, 1)]
    share = min(len(classes[0]), len(classes[1]), SAMPLE // 2)
    chosen = [part[: share if len(part) == share else SAMPLE - share] for part in classes]
    # Each class goes through all shifts, another one in every round.
    turns = np.concatenate([np.arange(len(part)) for part in chosen])
    kinds = np.array(list(SHIFTS))[(turns + np.arange(ROUNDS)[:, None]) % len(SHIFTS)]
    return Judge(images, validation, np.concatenate(chosen), kinds)


def selection_score(validation_auc: float, shifted_auc: float) -> float:
    """What picks the candidate: the mean of AUC on validation images and of AUC under mixed shifts."""
    return (validation_auc + shifted_auc) / 2


def auc(targets: np.ndarray, logits: np.ndarray) -> float:
    """Area under the ROC curve, 0 to 1."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(targets, logits))
