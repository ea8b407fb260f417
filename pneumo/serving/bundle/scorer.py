"""What all registered models have in common, whatever they take: an operating point, and how a row is answered."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumo.records.base import LABELS, Record
from pneumo.serving.bundle.out_of_distribution import FeatureDistance

if TYPE_CHECKING:
    import keras


class Spec(Record):
    """What it takes to use a model as it was evaluated; probability = sigmoid((logit + offset) / temperature)."""

    name: str
    temperature: float
    offset: float = 0.0  # none in bundles of the first version
    threshold: float
    dataset: str
    synthetic: bool
    model_sha256: str
    familiarity_sha256: str
    labels: tuple[str, str] = LABELS


class Scores(NamedTuple):
    """One value per image: probability of pneumonia in 0..1, distance to the training data, and whether too far."""

    probability: NDArray[np.float64]
    distance: NDArray[np.float64]
    unlike: NDArray[np.bool_]


class Answers(NamedTuple):
    """Scores of the cells that could be read, their positions, and an error or None per cell."""

    scores: Scores
    rows: NDArray[np.intp]
    errors: list[str | None]


@dataclass(frozen=True)
class Scorer(ABC):
    """A loaded model; what it takes is its subclass's affair."""

    spec: Spec
    model: "keras.Model"
    familiarity: FeatureDistance

    @abstractmethod
    def answer(self, cells: Sequence[Any], first: int = 0) -> Answers:
        """Read and score cells; `first` is the first one's row number, by which errors call it."""

    def probability(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probability of pneumonia of logits (n,)."""
        from scipy.special import expit

        calibrated: NDArray[np.float64] = expit((logits.astype(np.float64) + self.spec.offset) / self.spec.temperature)
        return calibrated

    def label(self, probability: NDArray[np.float64], threshold: float | None = None) -> NDArray[np.str_]:
        """The class at the model's own or another threshold in 0..1."""
        limit = self.spec.threshold if threshold is None else threshold
        return np.where(probability >= limit, self.spec.labels[1], self.spec.labels[0])
