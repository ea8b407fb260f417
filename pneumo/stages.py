"""What passes between stages: small frozen records of identifiers, never arrays, models or clients."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Split = Literal["train", "validation", "test"]
Fit = Literal["squash", "pad"]
IMAGE, EMBEDDING = "image", "embedding"  # what a model takes, and the column in which it takes it
LABELS = ("NORMAL", "PNEUMONIA")
ENSEMBLE = "ensemble"  # name of the candidate that is the mean of the others
VIEWS = "views"  # name of the layer that averages views of an image; the whole image is the first of them
SHIFTED = "shifted.parquet"  # beside a candidate's predictions: what it says of validation images under change
SUBTYPES = ("none", "bacteria", "virus")
Cell = Path | bytes | list[float]  # what a model scores: an image file, its bytes, or an embedding


class Record(BaseModel):
    """A frozen value; survives JSON, so it can cross processes and machines."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Candidate(Record):
    """A trained model: `model` is a .keras file, float32 (n, size, size, 1) in 0..255 -> logit (n, 1).

    `predictions` is Parquet with a row per validation and test image:
    path, sha256, patient, label, subtype, split, logit.

    One on embeddings takes float32 (n, width). It has no images to change, so what it does under simulated change is
    not measured: `shifted_auc` and `selection_score` are None.
    """

    name: str
    key: str
    run_id: str
    model: Path
    predictions: Path
    validation_auc: float
    shifted_auc: float | None
    selection_score: float | None
    minutes: float


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


class Evaluation(Record):
    """A candidate's figures; `bundle` is the folder that is registered (model.keras, serving.json).

    Beside the bundle lies the folder `figures` with PNG files.

    `warnings` are sentences on what it seems to read other than the lungs, `unmeasured` on what could not be measured.
    `vectors` are the embeddings of the images, for a model that takes these instead of images; see `Vectors`.
    """

    name: str
    key: str
    run_id: str
    model_uri: str
    bundle: Path
    predictions: Path
    minutes: float
    threshold: float
    temperature: float
    offset: float
    selection_score: float | None
    validation_auc: float
    test_auc: Interval
    sensitivity: Interval
    specificity: Interval
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    warnings: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    vectors: Path | None = None


class External(Record):
    """A candidate on a set from elsewhere; `unlike` is the share of images flagged as unlike the training data.

    `left_out` images are of patients whom the candidate learned, and not among `images`.
    `verdict` says in a sentence whether the model travels there. Figures lie in `folder`/figures.
    """

    name: str
    source: str
    folder: Path
    images: int
    errors: int
    left_out: int = 0
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    unlike: float
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    travels: bool
    verdict: str


class PolicyRow(Record):
    """One promotion gate: name, limit, what was measured, and whether it holds.

    Where it does not, `severity` says whether that stops the promotion, and `remedy` what to do.
    """

    name: str
    limit: str
    value: str
    passed: bool
    severity: Literal["refuse", "warn"] = "refuse"
    remedy: str = ""

    @property
    def outcome(self) -> Literal["passed", "refused", "warning"]:
        """What came of it, in a word."""
        failed: Literal["refused", "warning"] = "warning" if self.severity == "warn" else "refused"
        return "passed" if self.passed else failed

    @property
    def finding(self) -> str:
        """What was measured against what was asked, as a clause."""
        return f"{self.name} is {self.value} where {self.limit} is asked"


class DecisionCount(Record):
    """A decision on a set of test images, among all decisions that were made on them.

    `test_set` is the digest of its `images` images, `sketch` a few of them by which a set that shares them is known,
    `number` this decision's place among all on them, from 1, `promotions` how many of the others led to a champion.
    `comparison` is this comparison's place among those with a champion, from 1, of at most `most`, and `significance`
    what it spent; they are 0 where nothing was spent.
    """

    test_set: str
    sketch: tuple[str, ...]
    images: int
    number: int
    promotions: int
    comparison: int = 0
    most: int = 0
    significance: float = 0.0

    @property
    def spent(self) -> bool:
        """Whether these test images have been compared on too often."""
        return self.comparison > self.most

    def __str__(self) -> str:
        """As a sentence."""
        others = f"{self.promotions} promotion{'' if self.promotions == 1 else 's'} before"
        compared = f", comparison {self.comparison} of at most {self.most}" if self.comparison else ""
        return f"Decision {self.number} on the {self.images} test images {self.test_set[:12]} ({others}{compared})."


class Decision(Record):
    """Why a version became champion or did not; `rows` are the gates, `look` counts the decisions on these images."""

    promoted: bool
    reason: str
    registered_model: str
    version: str
    name: str
    run_id: str
    champion_before: str | None
    rows: tuple[PolicyRow, ...]
    look: DecisionCount | None = None

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do about each gate that does not hold."""
        return tuple(f"{row.name}: {row.remedy}" for row in self.rows if not row.passed and row.remedy)
