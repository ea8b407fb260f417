"""Load-and-query: in a fresh process the registered version must give the probabilities of the candidate."""

import math
from collections.abc import Sequence

import numpy as np

from pneumo.errors import TrackingError
from pneumo.evaluation.statistics.calibration import probability
from pneumo.records.base import Cell
from pneumo.records.data import DatasetVersion
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.promotion.comparison import test_rows
from pneumo.registry.promotion.predictions import cells
from pneumo.registry.promotion.severity import QUERY
from pneumo.serving.fresh_process.client import Answers, ask
from pneumo.tracking import Tracker

IMAGES = 32
TOLERANCE = 1e-4  # of a probability


def query_row(
    tracker: Tracker, registered: str, number: str, evaluation: Evaluation, version: DatasetVersion
) -> PolicyRow:
    """Score the input example and up to 32 test images with the registered version; one that does not load fails."""
    rows = test_rows(evaluation)[:IMAGES]
    expected = probability(rows["logit"].to_numpy(), evaluation.temperature, evaluation.offset)
    asked = cells(rows, version.root, evaluation.vectors)
    passed, value = says(tracker, f"models:/{registered}/{number}", asked, expected)
    limit = f"within {TOLERANCE:g} of the candidate on {len(asked)} test images"
    return PolicyRow(name=QUERY, limit=limit, value=value, passed=passed)


def says(tracker: Tracker, uri: str, asked: Sequence[Cell], expected: np.ndarray) -> tuple[bool, str]:
    """Whether a version gives the expected probabilities (asked,) in a fresh process, and the largest difference."""
    try:
        return _verdict(ask(tracker, uri, asked), asked, expected)
    except TrackingError as error:
        return False, str(error)


def check_example(tracker: Tracker, registered: str, number: str) -> None:
    """Load a version in a fresh process and score its input example.

    Raises:
        TrackingError: it cannot be loaded, or gives no probability.
    """
    answers = ask(tracker, f"models:/{registered}/{number}")
    if not _probabilities(answers.example):
        raise TrackingError(f"models:/{registered}/{number}: expected a probability of its input example, got none.")


def _verdict(answers: Answers, asked: Sequence[Cell], expected: np.ndarray) -> tuple[bool, str]:
    if not _probabilities(answers.example):
        return False, f"the input example gives {answers.example}"
    if failed := [(cell, row.error) for cell, row in zip(asked, answers.rows, strict=True) if row.error]:
        cell, error = failed[0]
        # Without the path, which may name a patient: this goes into the history, the card and notifications.
        return False, f"{len(failed)} of {len(asked)} cannot be scored: {error.replace(str(cell), 'one of them')}"
    if not answers.from_model:
        return False, "it ran the code of this installation instead of its own"
    found = np.array([row.probability for row in answers.rows], np.float64)
    # A probability that is NaN must not pass as a small difference.
    difference = float(np.nan_to_num(np.abs(found - expected), nan=np.inf).max(initial=0.0))
    return difference <= TOLERANCE, f"largest difference {difference:.1e}"


def _probabilities(values: tuple[float, ...]) -> bool:
    return bool(values) and all(math.isfinite(value) and 0 <= value <= 1 for value in values)
