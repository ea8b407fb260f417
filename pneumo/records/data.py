"""Records of data: ingested, validated, versioned, decoded."""

from pathlib import Path
from typing import Literal

from pneumo.records.base import Fit, Interval, Record


class Inventory(Record):
    """What ingest found: a manifest with one row for each image, unreadable ones included.

    `version` is set if the source was a dataset version: the digest that these images must give again.
    """

    key: str
    source: str
    synthetic: bool
    root: Path
    manifest: Path
    images: int
    skipped: dict[str, int]
    version: str | None = None


class GateRow(Record):
    """One expectation and its outcome; `files` names at most 20 images, `meaning` says what it means for a model."""

    name: str
    severity: Literal["error", "warning"]
    passed: bool
    expected: str
    observed: str
    meaning: str = ""
    files: tuple[str, ...] = ()


class GateReport(Record):
    """Outcome of a validation; `quarantine` is a CSV (path, reason), `docs` the folder of the Data Docs."""

    key: str
    passed: bool
    rows: tuple[GateRow, ...]
    quarantined: int
    quarantine: Path
    docs: Path


class DatasetVersion(Record):
    """An immutable data set: accepted rows with their split; its `digest` is the same on any machine."""

    digest: str
    source: str
    synthetic: bool
    root: Path
    manifest: Path
    images: int
    counts: dict[str, dict[str, int]]


class ImageStore(Record):
    """Decoded images: `path` is a .npy memory map, uint8 (images, size, size), rows in manifest order."""

    key: str
    path: Path
    size: int
    fit: Fit
    images: int


class Vectors(Record):
    """Embeddings of a data set's images that were made elsewhere; `path` is Parquet, `width` their length.

    The columns are sha256 (of the image file) and embedding. `others` counts rows of the source that belong to no image
    of the data set.
    """

    key: str
    name: str
    source: str
    path: Path
    width: int
    images: int
    others: int

    @property
    def candidate(self) -> str:
        """Name of the candidate that is trained on them."""
        return f"linear on {self.name}"


class ShiftRow(Record):
    """One class in a shift audit: ROC AUC of telling two groups of its images apart; 0.5 means no difference.

    `random` is that between random halves of the training group: the mean, and the range of chance. Both are None if
    there were too few patients. `images` and `patients` are those of the group in question.
    """

    label: str
    images: int
    patients: int
    auc: Interval | None = None
    random: Interval | None = None


class ShiftAudit(Record):
    """Whether the images called `name` come from the training images' place; `features` says what was compared."""

    name: str
    features: str
    rows: tuple[ShiftRow, ...]
