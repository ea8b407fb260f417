"""The registered version that a place is asked about, and the place's labelled images with its logits."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.quality.near_duplicates import shown_in
from pneumo.data.quality.seen_before import seen_before
from pneumo.errors import DataError, PromotionError
from pneumo.evaluation.external.acceptance_test import FEWEST, counts, in_words
from pneumo.evaluation.measures import Operating, is_pneumonia
from pneumo.records.data import Inventory
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import version_evidence
from pneumo.serving.fresh_process.client import ask
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.bundles import SPEC, find_bundle, input_example

SCORED = "scored.parquet"


@dataclass(frozen=True)
class Subject:
    """A version, its files and what was kept of it; `share` of pneumonia is what its operating point was fitted for."""

    version: ModelVersion
    bundle: Path
    kept: Path
    example: bytes
    operating: Operating
    evaluation: Evaluation
    share: float


@dataclass(frozen=True)
class Place:
    """A place's images: readable `rows` (manifest, logit, unlike), and how many were `left_out`.

    Those are of patients that the version was trained, tuned or calibrated on.
    """

    inventory: Inventory
    rows: pd.DataFrame
    unreadable: int
    left_out: int


@contextmanager
def subject(tracker: Tracker, version: ModelVersion) -> Iterator[Subject]:
    """Fetch a version and what was kept of it, for the time of the block.

    Raises:
        PromotionError: it was registered by other software, or changed since.
    """
    with version_evidence.evidence_of(tracker, version) as kept, tracker.files.downloaded(version.uri) as folder:
        if kept is None:
            raise PromotionError(
                f"Expected a version that pneumo registered, but of {version.uri} it is not known what it was trained "
                "on: train one with `pneumo train`, or name another."
            )
        bundle = find_bundle(folder)
        version_evidence.check_bundle(version, bundle)
        spec = json.loads((bundle / SPEC).read_bytes())
        yield Subject(
            version=version,
            bundle=bundle,
            kept=kept,
            example=input_example(folder),
            operating=Operating(spec.get("offset", 0.0), spec["temperature"], spec["threshold"]),
            evaluation=_evaluation(kept),
            share=_share(version, kept),
        )


def read_place(tracker: Tracker, asked: Subject, inventory: Inventory, home: Path) -> Place:
    """Check that a set can tell how a version does at a place, and score it in a fresh process, once.

    Raises:
        DataError: drawn images for a model of real ones, images of the version's own data set, too few of a class.
        TrackingError: the version cannot be loaded.
    """
    manifest = pd.read_parquet(inventory.manifest)
    _require_foreign(asked, inventory, manifest)
    readable = manifest[manifest["error"].isna()].reset_index(drop=True)
    before = seen_before(readable, version_evidence.used(asked.kept))
    scored = readable.merge(_scores(tracker, asked, inventory, readable, home), on="path", validate="one_to_one")
    good = scored["refused"].isna().to_numpy() & ~before
    rows = scored[good].drop(columns=["error", "refused"]).reset_index(drop=True)
    left_out = int(before.sum())
    if min(counts(rows).values()) < FEWEST:
        known = f" without {left_out} of patients that {asked.version.uri} knows" if left_out else ""
        raise DataError(
            f"Expected at least {FEWEST} readable images of each class in {inventory.source}, got "
            f"{in_words(counts(rows))}{known}: add images, since fewer tell nothing."
        )
    return Place(inventory, rows, len(manifest) - left_out - len(rows), left_out)


def _require_foreign(asked: Subject, inventory: Inventory, manifest: pd.DataFrame) -> None:
    if inventory.synthetic and asked.version.tags.get("synthetic") != "true":
        raise DataError(
            f"Expected X-rays of the place, but {inventory.source} is drawn by pneumo and {asked.version.uri} is a "
            "model of real images: give a folder of real ones."
        )
    if shared := int(shown_in(manifest, pd.read_parquet(asked.kept / version_evidence.MANIFEST)).sum()):
        raise DataError(
            f"Expected images that {asked.version.uri} has never seen, but {shared} of {len(manifest)} in "
            f"{inventory.source} are in its own data set: take them out."
        )


def _scores(tracker: Tracker, asked: Subject, inventory: Inventory, rows: pd.DataFrame, home: Path) -> pd.DataFrame:
    """Columns path, logit (NaN where unreadable), unlike, refused (why it is unreadable); kept for a second call."""
    files, code = asked.version.tags[version_evidence.FILES], code_version("registry/acceptance/subject.py")
    folder = home / "cache" / "accept" / stage_key("accept", inventory=inventory.key, files=files, code=code)
    if not is_kept(folder):
        answers = ask(tracker, asked.version.uri, [inventory.root / path for path in rows["path"]]).rows
        chance = np.array([row.probability for row in answers], np.float64).clip(1e-12, 1 - 1e-12)
        logit = asked.operating.temperature * np.log(chance / (1 - chance)) - asked.operating.offset
        said = {"logit": logit, "unlike": [row.unlike for row in answers], "refused": [row.error for row in answers]}
        with written_once(folder) as scratch:
            rows[["path"]].assign(**said).astype({"refused": object}).to_parquet(scratch / SCORED, index=False)
    return pd.read_parquet(folder / SCORED)


def _evaluation(kept: Path) -> Evaluation:
    # Those of the first version have no offset.
    return Evaluation.model_validate({"offset": 0.0} | json.loads((kept / version_evidence.EVALUATION).read_bytes()))


def _share(version: ModelVersion, kept: Path) -> float:
    if version_evidence.PREVALENCE in version.tags:
        return float(version.tags[version_evidence.PREVALENCE])
    manifest = pd.read_parquet(kept / version_evidence.MANIFEST, columns=["label", "split"])
    return float(is_pneumonia(manifest[manifest["split"] == "validation"]).mean())
