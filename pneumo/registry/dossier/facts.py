"""What a run knows of its version: one record from which the whole dossier is filled; no figure is computed anew."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo.evaluation.external.verdict import set_name
from pneumo.records.base import LABELS
from pneumo.records.data import ShiftAudit
from pneumo.records.decision import Decision, PolicyRow
from pneumo.records.model import Evaluation, External
from pneumo.registry.acceptance.outcome import Acceptance
from pneumo.settings.promotion import Promotion
from pneumo.tracking import Tracker
from pneumo.tracking.models.bundles import SPEC

QUARANTINED = "data.quarantined"  # tag of the pipeline's run: how many files the gate took out
COMMIT, CHANGED, VERSION = "mlflow.source.git.commit", "git.changed", "version."
# Parameters of a training that a dossier tells; the others may be addresses.
RECIPE = (
    *("weights", "size", "epochs", "patience", "batch_size", "learning_rate", "weight_decay", "label_smoothing"),
    *("ema_decay", "subtype_weight", "freeze", "augmentation", "crop", "folds", "views", "precision", "seed"),
)
KNOWN_WEIGHTS = ("imagenet", "none")
TOLD = ("sex", "age", "view", "modality", "manufacturer")  # columns of the manifest that come from DICOM headers
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Images of each class and patients of one part of the data."""

    normal: int
    pneumonia: int
    patients: int


@dataclass(frozen=True)
class Data:
    """The accepted images: the patients of `unknown` are not known; `told` is what headers say, by column and split."""

    source: str
    synthetic: bool
    digest: str
    splits: dict[str, Split]
    unknown: int
    told: dict[str, dict[str, str]]

    @property
    def images(self) -> int:
        """Of all splits."""
        return sum(part.normal + part.pneumonia for part in self.splits.values())

    @property
    def patients(self) -> int:
        """Of all splits, which share none."""
        return sum(part.patients for part in self.splits.values())


@dataclass(frozen=True)
class Training:
    """Settings of each trained network by its name, versions of packages, and the code's commit; empty if not kept."""

    recipe: dict[str, dict[str, str]]
    software: dict[str, str]
    commit: str
    changed: bool
    quarantined: str


@dataclass(frozen=True)
class Facts:
    """A version, its figures and their origin.

    A version of `pneumo accept` has a `place`, the outcome of its acceptance test; every other one has a `decision`.
    `rows` are the limits of whichever there is. `spec` is the bundle's serving.json.
    """

    model: str
    version: str
    run: str
    pipeline: str
    data: Data
    training: Training
    evaluation: Evaluation
    spec: dict[str, Any]
    policy: Promotion
    rows: tuple[PolicyRow, ...]
    decision: Decision | None = None
    external: Sequence[External] = ()
    audits: Sequence[ShiftAudit] = ()
    place: Acceptance | None = None


def data_facts(manifest: Path, source: str, synthetic: bool, digest: str) -> Data:
    """Count the rows of a data set's manifest; of its source only the last part is told, since it may be a path."""
    rows = pd.read_parquet(manifest)
    known = rows["patient_known"] if "patient_known" in rows else pd.Series(True, index=rows.index)
    parts = {name: rows[rows["split"] == name] for name in SPLITS}
    splits = {name: _split(part) for name, part in parts.items()}
    told = {column: {name: _counts(part[column]) for name, part in parts.items()} for column in _told(rows)}
    return Data(set_name(source), synthetic, digest, splits, int((~known.astype(bool)).sum()), told)


def training_facts(tracker: Tracker, pipeline: str, candidate: str) -> Training:
    """What the runs of a pipeline keep of how a candidate came about."""
    parent = tracker.runs.find(pipeline)
    runs = {run.name: run for run in reversed(tracker.runs.below(pipeline))}
    mine = runs.get(candidate)
    params, tags = (mine.params, mine.tags) if mine else ({}, {})
    members = [name for name in params.get("members", candidate).split(", ") if name in runs]
    return Training(
        recipe={name: found for name in members if (found := _recipe(runs[name].params))},
        software={key.removeprefix(VERSION): tags[key] for key in sorted(tags) if key.startswith(VERSION)},
        commit=tags.get(COMMIT, ""),
        changed=tags.get(CHANGED) == "true",
        quarantined=parent.tags.get(QUARANTINED, "") if parent else "",
    )


def bundle_spec(bundle: Path) -> dict[str, Any]:
    """What a bundle's serving.json says."""
    found: dict[str, Any] = json.loads((bundle / SPEC).read_bytes())
    return found


def _split(rows: pd.DataFrame) -> Split:
    normal, pneumonia = (int((rows["label"] == label).sum()) for label in LABELS)
    return Split(normal, pneumonia, rows["patient"].nunique())


def _recipe(params: dict[str, str]) -> dict[str, str]:
    kept = {name: params[name] for name in RECIPE if name in params}
    if kept.get("weights", "none") not in KNOWN_WEIGHTS:
        kept["weights"] = "given ones (the run's parameters say where they lay)"
    return kept


def _told(rows: pd.DataFrame) -> list[str]:
    return [column for column in TOLD if column in rows and (rows[column].fillna("") != "").any()]


def _counts(column: "pd.Series[str]") -> str:
    """How often each word occurs, as text: F 30, M 28, not told 2."""
    words = column.fillna("").replace("", "not told")
    return ", ".join(f"{word} {count}" for word, count in sorted(words.value_counts().items()))
