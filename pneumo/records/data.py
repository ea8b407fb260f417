"""Records of data: what was brought in, checked, versioned and decoded."""

from pathlib import Path
from typing import Literal

from pneumo.records.base import Fit, Interval, Record


class Inventory(Record):
    """What ingestion brought in: one manifest row per image found, bad ones included.

    `version` is the digest that these images must give again, where the source was a version.
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
    """One expectation and its outcome; `files` names the offenders (at most 20), `meaning` what it does to a model."""

    name: str
    severity: Literal["error", "warning"]
    passed: bool
    expected: str
    observed: str
    meaning: str = ""
    files: tuple[str, ...] = ()


class GateReport(Record):
    """The outcome of one validation; `quarantine` is a CSV (path, reason), `docs` the Data Docs folder."""

    key: str
    passed: bool
    rows: tuple[GateRow, ...]
    quarantined: int
    quarantine: Path
    docs: Path


class DatasetVersion(Record):
    """An immutable data set: accepted rows with their split, identified by `digest` on any machine."""

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
    """Embeddings of a data set's images that were made elsewhere: `path` is Parquet, `width` numbers an image.

    Its columns are sha256 (of the image file) and embedding. `others` counts rows of the source that are not of the
    data set.
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
    """A class of a shift audit: ROC AUC of telling its images in one group from those of another; 0.5 is no difference.

    `random` is the same between random halves of the other group: the mean, and two standard deviations each way. Both
    are None where there were too few patients. `images` and `patients` are those of the group that is asked about.
    """

    label: str
    images: int
    patients: int
    auc: Interval | None = None
    random: Interval | None = None


class ShiftAudit(Record):
    """Whether the images called `name` are from where the training images are; `features` says what was looked at."""

    name: str
    features: str
    rows: tuple[ShiftRow, ...]
