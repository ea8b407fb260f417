"""How candidates are chosen: by AUC on validation images as they are and under simulated shift.

Scores of shifted images are a table like that of predictions: path, patient, label, kind (the shift), round, logit.
AUC, operating point and the figures of ensembles all come from such tables.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from pneumo.evaluation.robustness.simulated_shift import SHIFTS, mixture
from pneumo.training.dataset_images import Images, predict

SAMPLE = 400  # most validation images that are shifted; limits memory
ROUNDS = 3  # shifts that are applied to each of them


@dataclass(frozen=True)
class Judge:
    """Scores networks on the validation split; it has no access to the test split.

    `sample` holds positions of validation images, as many of each class as possible. `kinds` has a row for each round:
    the shift of each of these images.
    """

    images: Images
    validation: np.ndarray
    sample: np.ndarray
    kinds: np.ndarray

    def epoch(self, network: Any) -> dict[str, float]:
        """Scores after an epoch: AUC on validation images, AUC under one round of shifts, and their mean."""
        clean = auc(self.images.targets(self.validation), predict(network, self.images.pixels, self.validation)[:, 0])
        shifted = auc(self.images.targets(self.sample), self._round(network, 0))
        return {"validation_auc": clean, "shifted_auc": shifted, "score": selection_score(clean, shifted)}

    def shifted(self, network: Any) -> pd.DataFrame:
        """Table of a network's scores of the sample in every round of shifts."""
        rows = self.images.rows.iloc[self.sample][["path", "patient", "label"]]
        rounds = [
            rows.assign(kind=self.kinds[number], round=number, logit=self._round(network, number))
            for number in range(ROUNDS)
        ]
        return pd.concat(rounds, ignore_index=True)

    def _round(self, network: Any, number: int) -> np.ndarray:
        moved = self._moved(number) if number else self._first_round
        return predict(network, moved)[:, 0]

    @cached_property
    def _first_round(self) -> np.ndarray:
        """Shifted images of the round that every epoch is scored on."""
        return self._moved(0)

    def _moved(self, number: int) -> np.ndarray:
        return mixture(self.images.pixels[self.sample], self.kinds[number], number)


def judge(images: Images, seed: int = 0) -> Judge:
    """The judge of a data set; the seed draws its sample, which is the same for all candidates."""
    validation = images.of("validation")
    generator, targets = np.random.default_rng(seed), images.targets(validation)
    classes = [generator.permutation(validation[targets == value]) for value in (0, 1)]
    share = min(len(classes[0]), len(classes[1]), SAMPLE // 2)
    chosen = [part[: share if len(part) == share else SAMPLE - share] for part in classes]
    # Each class has all shifts, and each image another one in every round.
    turns = np.concatenate([np.arange(len(part)) for part in chosen])
    kinds = np.array(list(SHIFTS))[(turns + np.arange(ROUNDS)[:, None]) % len(SHIFTS)]
    return Judge(images, validation, np.concatenate(chosen), kinds)


def validation_auc(predictions: pd.DataFrame) -> float:
    """AUC on validation images, from a table of predictions."""
    return _auc(predictions[predictions["split"] == "validation"])


def shifted_auc(shifted: pd.DataFrame) -> float:
    """AUC under mixed shifts, as the mean over rounds.

    Mixed shifts are harder than single ones: a shift that moves all logits by the same amount costs nothing alone, but
    beside other shifts, or at a fixed threshold, it does.
    """
    return float(np.mean([_auc(rows) for _, rows in shifted.groupby("round")]))


def auc_by_shift(shifted: pd.DataFrame) -> dict[str, float]:
    """AUC under each shift that was applied to both classes."""
    return {str(kind): _auc(rows) for kind, rows in shifted.groupby("kind") if rows["label"].nunique() == 2}


def _auc(rows: pd.DataFrame) -> float:
    return auc((rows["label"] == "PNEUMONIA").to_numpy(), rows["logit"].to_numpy())


def selection_score(validation_auc: float, shifted_auc: float) -> float:
    """The score that chooses the candidate: the mean of AUC on validation images and AUC under mixed shifts."""
    return (validation_auc + shifted_auc) / 2


def auc(targets: np.ndarray, logits: np.ndarray) -> float:
    """Area under the ROC curve, 0 to 1."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(targets, logits))
