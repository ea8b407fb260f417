"""The registered version that is tested at a place, and the place's labelled images with its logits."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

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
from pneumo.tracking.models import package
from pneumo.tracking.models.bundles import SPEC, find_bundle, input_example

SCORED = "scored.parquet"


@dataclass(frozen=True)
class Subject:
    """A version, its files and its evidence; `share` is the share of pneumonia behind its operating point."""

    version: ModelVersion
    bundle: Path
    kept: Path
    example: bytes
    operating: Operating
    evaluation: Evaluation
    share: float


@dataclass(frozen=True)
class Place:
    """A place's images: readable `rows` (manifest, logit, out_of_distribution), and how many were `left_out`.

    Images are left out whose patients the version was trained, tuned or calibrated on.
    """

    inventory: Inventory
    rows: pd.DataFrame
    unreadable: int
    left_out: int


@contextmanager
def subject(tracker: Tracker, version: ModelVersion) -> Iterator[Subject]:
    """Fetch a version and its evidence; the files are removed after the block.

    Raises:
        PromotionError: other software registered it, or its files were changed.
    """
    with version_evidence.evidence_of(tracker, version) as kept, tracker.files.downloaded(version.uri) as folder:
        if kept is None:
            raise PromotionError(
                f"Expected a version that pneumo registered, but {version.uri} does not tell on what it was trained: "
                "train one with `pneumo train`, or name another."
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
            evaluation=_evaluation(version, kept),
            share=_share(version, kept),
        )


def read_place(tracker: Tracker, asked: Subject, inventory: Inventory, home: Path) -> Place:
    """Check that a set can judge a version at a place, and score it in a fresh process, once.

    Raises:
        DataError: the set is drawn but the model is of real images, or it has the version's own images, or too few.
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
        known = f" without {left_out} of patients in the data set of {asked.version.uri}" if left_out else ""
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
    """Scores: columns path, logit (NaN if unreadable), out_of_distribution, refused (why unreadable); computed once."""
    # The version's own code decodes and scores: the same weights with other code are another model.
    files = [asked.version.tags[version_evidence.FILES], asked.version.tags.get(package.TAG, asked.version.uri)]
    code = code_version("registry/acceptance/subject.py")
    folder = home / "cache" / "accept" / stage_key("accept", inventory=inventory.key, files=files, code=code)
    if not is_kept(folder):
        answers = ask(tracker, asked.version.uri, [inventory.root / path for path in rows["path"]]).rows
        chance = np.array([row.probability for row in answers], np.float64).clip(1e-12, 1 - 1e-12)
        logit = asked.operating.temperature * np.log(chance / (1 - chance)) - asked.operating.offset
        far, refused = [row.out_of_distribution for row in answers], [row.error for row in answers]
        said = {"logit": logit, "out_of_distribution": far, "refused": refused}
        with written_once(folder) as scratch:
            rows[["path"]].assign(**said).astype({"refused": object}).to_parquet(scratch / SCORED, index=False)
    return pd.read_parquet(folder / SCORED)


def _evaluation(version: ModelVersion, kept: Path) -> Evaluation:
    # The oldest versions have no offset.
    figures = {"offset": 0.0} | json.loads((kept / version_evidence.EVALUATION).read_bytes())
    try:
        return Evaluation.model_validate(figures)
    except ValidationError:
        raise PromotionError(
            f"Expected figures that this pneumo can read, kept with {version.uri}, but they have another form: a newer"
            " pneumo may have registered it, install that."
        ) from None


def _share(version: ModelVersion, kept: Path) -> float:
    if version_evidence.PREVALENCE in version.tags:
        return float(version.tags[version_evidence.PREVALENCE])
    manifest = pd.read_parquet(kept / version_evidence.MANIFEST, columns=["label", "split"])
    return float(is_pneumonia(manifest[manifest["split"] == "validation"]).mean())
