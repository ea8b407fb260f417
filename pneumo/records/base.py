"""The base of all records, and names that they share."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Fit = Literal["squash", "pad"]
IMAGE, EMBEDDING = "image", "embedding"  # kinds of input, and names of the input column
LABELS = ("NORMAL", "PNEUMONIA")
ENSEMBLE = "ensemble"  # name of the candidate that is the mean of the others
VIEWS = "views"  # name of the layer that averages views of an image, of which the whole image is the first
SHIFTED = "shifted.parquet"  # beside predictions: scores under simulated shift
SUBTYPES = ("none", "bacteria", "virus")
MODALITIES = ("CR", "DX")  # of DICOM: computed and digital radiography, what chest X-rays are
UNSTATED = "UNSTATED"  # stands among modalities for DICOM files that state none
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
