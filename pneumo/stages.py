"""What passes between stages: small frozen records of identifiers, never arrays, models or clients."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Split = Literal["train", "validation", "test"]
Fit = Literal["squash", "pad"]
IMAGE, EMBEDDING = "image", "embedding"  # what a model takes, and the column in which it takes it
LABELS = ("NORMAL", "PNEUMONIA")
SUBTYPES = ("none", "bacteria", "virus")


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
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


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

    `verdict` says in a sentence whether the model travels there. Figures lie in `folder`/figures.
    """

    name: str
    source: str
    folder: Path
    images: int
    errors: int
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    unlike: float
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]
    travels: bool
    verdict: str


class PolicyRow(Record):
    """One promotion gate: name, limit, what was measured, and whether it holds."""

    name: str
    limit: str
    value: str
    passed: bool


class Decision(Record):
    """Why a version became champion or did not; `rows` are the gates."""

    promoted: bool
    reason: str
    registered_model: str
    version: str
    name: str
    run_id: str
    champion_before: str | None
    rows: tuple[PolicyRow, ...]


def stage_key(stage: str, **inputs: Any) -> str:
    """Key of a stage's result: a digest of its inputs' keys, the settings it reads and its code version.

    Args:
        stage: name of the stage.
        inputs: JSON values, paths or records; by convention `code=code_version(...)` is among them.
    """
    text = json.dumps({"stage": stage, **inputs}, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a stage key takes JSON values, paths and records, not {type(value).__name__}")


@cache
def code_version(*parts: str) -> str:
    """Digest of the source of parts of this package, such as "data" or "training/fit.py"."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for part in sorted(parts):
        target = here / part
        for file in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
            digest.update(file.relative_to(here).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def written_once(folder: Path) -> Iterator[Path]:
    """A scratch folder that is renamed to `folder` when the block ends well; else it is removed.

    What exists under its final name is therefore complete. If another process finished first, its result stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    scratch.mkdir()
    try:
        yield scratch
        try:
            os.rename(scratch, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
