"""The base of all records, and names that they share."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Fit = Literal["squash", "pad"]
IMAGE, EMBEDDING = "image", "embedding"  # kinds of input, and names of the input column
LABELS = ("NORMAL", "PNEUMONIA")
ALONE = "this image"  # what errors call an image that came without others, by row or by name
UNCERTAIN = "UNCERTAIN"  # the third answer of the service, if serve.uncertain is set
ENSEMBLE = "ensemble"  # name of the candidate that is the mean of the others
VIEWS = "views"  # name of the layer that averages views of an image, of which the whole image is the first
SHIFTED = "shifted.parquet"  # beside predictions: scores under simulated shift
SUBTYPES = ("none", "bacteria", "virus")
LEAST_DEVIATION = 5.0  # of gray values in 0..255; an image with less is blank
Cell = Path | bytes | list[float]  # what a model scores: an image file, its bytes, or an embedding


class Record(BaseModel):
    """A frozen value that can be written as JSON, so it can go to other processes and machines."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(Record):
    """A number with its 95 % interval, or that of another level where this is said.

    An interval without width could not be estimated: an AUC of 1 is also 1 in every resample.
    """

    value: float
    low: float
    high: float

    @property
    def estimated(self) -> bool:
        """Whether the interval could be estimated."""
        return self.low < self.high

    def ends(self, digits: str) -> str:
        """The ends as text: "0.973 to 0.990" for ".3f"."""
        return f"{self.low:{digits}} to {self.high:{digits}}" if self.estimated else "interval cannot be estimated"

    def __format__(self, digits: str) -> str:
        """The number and its interval as text: "0.983 (0.973 to 0.990)" for ".3f"."""
        return f"{self.value:{digits}} ({self.ends(digits)})"


class Conformal(Record):
    """Limits of conformal prediction: NORMAL is possible up to one probability, PNEUMONIA from the other one on.

    With the chance `coverage` the possible labels hold the true one, whichever class it is of.
    """

    coverage: float
    normal_up_to: float
    pneumonia_from: float

    def sets(self, probability: "NDArray[np.float64]") -> "tuple[NDArray[np.bool_], NDArray[np.bool_]]":
        """Whether NORMAL and whether PNEUMONIA is possible at probabilities of pneumonia (n,)."""
        return probability <= self.normal_up_to, probability >= self.pneumonia_from

    def uncertain(self, probability: "NDArray[np.float64]", called: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
        """Whether the label of each (`called`, true for PNEUMONIA) is not the only possible one, bool (n,)."""
        normal, ill = self.sets(probability)
        certain: NDArray[np.bool_] = (called & ill & ~normal) | (~called & normal & ~ill)
        return ~certain
