"""What all registered models share, whatever they take: an operating point, and how cells are scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from pneumo.records.base import LABELS, Conformal, Record
from pneumo.serving.bundle.out_of_distribution import FeatureDistance

if TYPE_CHECKING:
    import keras


class Spec(Record):
    """What is needed to use a model as it was evaluated; probability = sigmoid((logit + offset) / temperature)."""

    name: str
    temperature: float
    offset: float = 0.0  # the first bundles have none
    threshold: float
    conformal: Conformal | None = None  # older bundles have none, nor do those with an operating point of a place
    dataset: str
    synthetic: bool
    model_sha256: str
    out_of_distribution_sha256: str = Field(  # older bundles have the second name
        validation_alias=AliasChoices("out_of_distribution_sha256", "familiarity_sha256")
    )
    labels: tuple[str, str] = LABELS


class Scores(NamedTuple):
    """Arrays (n,): probability of pneumonia, 0 to 1, distance to the training images, and whether it is too far."""

    probability: NDArray[np.float64]
    distance: NDArray[np.float64]
    out_of_distribution: NDArray[np.bool_]


class Answers(NamedTuple):
    """Scores of the cells that could be read, their positions, and an error or None for each cell."""

    scores: Scores
    rows: NDArray[np.intp]
    errors: list[str | None]


@dataclass(frozen=True)
class Scorer(ABC):
    """A loaded model; the subclass says what it takes."""

    spec: Spec
    model: "keras.Model"
    feature_distance: FeatureDistance

    @abstractmethod
    def answer(self, cells: Sequence[Any], first: int = 0) -> Answers:
        """Read and score cells; `first` is the row number of the first one, for errors."""

    def probability(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probability of pneumonia, 0 to 1, of logits (n,)."""
        from scipy.special import expit

        calibrated: NDArray[np.float64] = expit((logits.astype(np.float64) + self.spec.offset) / self.spec.temperature)
        return calibrated

    def uncertain(self, probability: NDArray[np.float64], threshold: float | None = None) -> NDArray[np.bool_] | None:
        """Whether another label than that at the threshold is possible, (n,); None where this model cannot tell."""
        limit = self.spec.threshold if threshold is None else threshold
        known = self.spec.conformal
        return None if known is None else known.uncertain(probability, probability >= limit)

    def label(self, probability: NDArray[np.float64], threshold: float | None = None) -> NDArray[np.str_]:
        """The label at the model's own threshold or another one, 0 to 1."""
        limit = self.spec.threshold if threshold is None else threshold
        return np.where(probability >= limit, self.spec.labels[1], self.spec.labels[0])
