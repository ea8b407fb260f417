"""Compare champion and challenger on the same test images, without those that the champion was trained on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.quality.seen_before import seen_before
from pneumo.errors import PromotionError
from pneumo.evaluation.statistics.calibration import probability
from pneumo.evaluation.statistics.paired_difference import Comparison, compare
from pneumo.records.base import Cell, Record
from pneumo.records.data import DatasetVersion
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.predictions import (
    Floats,
    Given,
    cells,
    kept_probabilities,
    of_embeddings,
    takes_embeddings,
)
from pneumo.registry.promotion.severity import FAIRNESS
from pneumo.serving.fresh_process.client import ask
from pneumo.tracking import ModelVersion, Tracker

FEWEST = 10  # images of each class that a comparison needs


class ChampionComparison(Record):
    """`images` were compared, `seen` left out; no `comparison` if too few were left, or for the reason `refused`."""

    champion: str
    images: int
    seen: int
    trained_on_known: bool
    comparison: Comparison | None
    refused: str = ""


def compare_with_champion(
    tracker: Tracker,
    champion: ModelVersion,
    evaluation: Evaluation,
    version: DatasetVersion,
    significance: float,
    given: Given,
) -> ChampionComparison:
    """Compare on the data set's test images, with an interval at level 1 - `significance`.

    `given` are this run's embeddings, for a champion that takes embeddings.

    Raises:
        PromotionError: the champion cannot read a test image.
        TrackingError: it cannot be loaded.
    """
    test = test_rows(evaluation)
    with version_evidence.evidence_of(tracker, champion) as folder:
        seen = _seen(_in_manifest(test, version), folder)
        fair = test[~seen] if seen is not None else test
        facts = {"champion": champion.version, "images": len(fair), "trained_on_known": seen is not None}
        facts["seen"] = len(test) - len(fair)
        if fair["label"].value_counts().reindex(["NORMAL", "PNEUMONIA"], fill_value=0).min() < FEWEST:
            return ChampionComparison(**facts, comparison=None)
        kept = kept_probabilities(folder, champion) if folder and takes_embeddings(champion) else None
    ask_it = partial(_scores, tracker, champion, fair)
    if kept is None:
        theirs: Floats | str = ask_it(cells(fair, version.root, None))
    else:
        theirs = of_embeddings(champion, fair, given, kept, ask_it)
    if isinstance(theirs, str):
        return ChampionComparison(**facts, comparison=None, refused=theirs)
    labels = (fair["label"] == "PNEUMONIA").to_numpy()
    ours = probability(fair["logit"], evaluation.temperature, evaluation.offset)
    comparison = compare(labels, ours, theirs, fair["patient"], level=1 - significance)
    return ChampionComparison(**facts, comparison=comparison)


def fairness_row(found: ChampionComparison) -> PolicyRow:
    """Row on which test images the champion was trained; it passes if enough others are left for a comparison."""
    if found.refused:
        value = found.refused
    elif not found.trained_on_known:
        value = f"unknown: version {found.champion} was not registered by pneumo; all {found.images} images compared"
    elif found.seen:
        value = f"version {found.champion} was trained on {found.seen} of them or their patients; {found.images} left"
    else:
        value = f"none of {found.images} images"
    limit = f"at least {FEWEST} images of each class are left"
    passed = found.comparison is not None
    return PolicyRow(name=FAIRNESS, limit=limit, value=value, passed=passed)


def test_rows(evaluation: Evaluation) -> pd.DataFrame:
    """A candidate's predictions on the test images, in a fixed order."""
    rows = pd.read_parquet(evaluation.predictions)
    return rows[rows["split"] == "test"].sort_values("sha256").reset_index(drop=True)


def _in_manifest(test: pd.DataFrame, version: DatasetVersion) -> pd.DataFrame:
    """The manifest's rows of test images, in their order; predictions lack the columns that identify pictures."""
    return pd.read_parquet(version.manifest).set_index("path").loc[test["path"]].reset_index()


def _seen(test: pd.DataFrame, folder: Path | None) -> NDArray[np.bool_] | None:
    """Which rows of a manifest show a picture or a patient on which the champion was trained or tuned, bool (n,).

    In sets that number each kind of finding anew, `pneumo.data.sources.names` keeps the patients apart.
    """
    return None if folder is None else seen_before(test, version_evidence.used(folder))


def _scores(tracker: Tracker, champion: ModelVersion, test: pd.DataFrame, asked: Sequence[Cell]) -> Floats:
    answers = ask(tracker, champion.uri, asked)
    bad = [(path, row.error) for path, row in zip(test["path"], answers.rows, strict=True) if row.error]
    if bad:
        raise PromotionError(
            f"Expected champion version {champion.version} to read every test image, but {bad[0][0]} and "
            f"{len(bad) - 1} more failed ({bad[0][1]}): roll back to a version that can, or take the images out."
        )
    return np.array([row.probability for row in answers.rows], np.float64)
