"""What all records share, and the names that they use."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Fit = Literal["squash", "pad"]
IMAGE, EMBEDDING = "image", "embedding"  # what a model takes, and the column in which it takes it
LABELS = ("NORMAL", "PNEUMONIA")
ENSEMBLE = "ensemble"  # name of the candidate that is the mean of the others
VIEWS = "views"  # name of the layer that averages views of an image; the whole image is the first of them
SHIFTED = "shifted.parquet"  # beside a candidate's predictions: what it says of validation images under change
SUBTYPES = ("none", "bacteria", "virus")
MODALITIES = ("CR", "DX")  # of DICOM: computed and digital radiography, what chest X-rays are
UNSTATED = "UNSTATED"  # stands among modalities for DICOM files that state none
Cell = Path | bytes | list[float]  # what a model scores: an image file, its bytes, or an embedding


class Record(BaseModel):
    """A frozen value; survives JSON, so it can cross processes and machines."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(Record):
    """A number with its 95 % interval, or with that of another level where it says so.

    An interval of no width was not estimated: an AUC of 1 is 1 in every resample, too.
    """

    value: float
    low: float
    high: float

    @property
    def estimated(self) -> bool:
        """Whether the interval says anything."""
        return self.low < self.high

    def ends(self, digits: str) -> str:
        """Such as "0.973 to 0.990" for ".3f"."""
        return f"{self.low:{digits}} to {self.high:{digits}}" if self.estimated else "interval cannot be estimated"

    def __format__(self, digits: str) -> str:
        """Such as "0.983 (0.973 to 0.990)" for ".3f"."""
        return f"{self.value:{digits}} ({self.ends(digits)})"
