"""Measures of a binary classifier with patient-wise bootstrap intervals.

A statistic takes weights (b, n), one weight for each image in each of b resamples, and returns (b,). Weights of one
give the measure itself. Not by scikit-learn, which takes one resample a call: here 2,000 are a few array operations.
Tests compare each measure with scikit-learn's, where it has one.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumo.errors import DataError
from pneumo.evaluation.statistics.calibration import BINS, probability_bins
from pneumo.records.base import Interval

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Statistic = Callable[[Floats], Floats]
RESAMPLES = 2000
LEVEL = 0.95
_BEYOND = 10  # resamples beyond either end of an interval, below which that end is not read off them
_CELLS = 2**22  # of a block of weights, to bound memory for large sets


def interval(
    statistic: Statistic, patients: ArrayLike, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval:
    """A measure with its percentile interval over resampled patients (Efron and Tibshirani 1993).

    A level whose ends lie beyond what the resamples resolve (fewer than 10 outside either end) gets the normal interval
    with the resamples' standard error (same source, chapter 12).

    Raises:
        DataError: the measure is not defined on these images, or on none of the resamples.
    """
    patients = np.asarray(patients)
    value = float(statistic(np.ones((1, len(patients))))[0])
    values = resampled(statistic, patients, resamples, seed)
    values = values[np.isfinite(values)]
    if not np.isfinite(value) or not len(values):
        raise DataError(f"Expected images of both classes to measure on, got {len(patients)} images of one: add some.")
    low, high = _ends(value, values, level)
    return Interval(value=value, low=min(low, value), high=max(high, value))


def _ends(value: float, values: Floats, level: float) -> tuple[float, float]:
    from scipy.stats import norm

    tail = (1 - level) / 2
    if tail * len(values) >= _BEYOND:
        low, high = np.quantile(values, (tail, 1 - tail))
        return float(low), float(high)
    half = float(norm.isf(tail) * values.std(ddof=1))
    return value - half, value + half


def resampled(statistic: Statistic, patients: ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The statistic on each resample of patients (drawn with replacement, all of a patient's images together)."""
    codes = np.unique(np.asarray(patients), return_inverse=True)[1]
    count, random = int(codes.max()) + 1, np.random.default_rng(seed)
    block = max(1, _CELLS // len(codes))
    parts = []
    for start in range(0, resamples, block):
        draws = random.multinomial(count, np.full(count, 1 / count), size=min(block, resamples - start))
        parts.append(statistic(draws[:, codes].astype(np.float64)))
    return np.concatenate(parts)


def auc_statistic(labels: ArrayLike, scores: ArrayLike) -> Statistic:
    """Area under the ROC curve: P(positive scores higher) + P(tie) / 2 (Hanley and McNeil 1982)."""
    sorted_sums = _sums_by_score(labels, scores)

    def auc(weights: Floats) -> Floats:
        positive, negative = sorted_sums(weights)
        below = np.cumsum(negative, axis=1) - negative
        return _ratio((positive * (below + negative / 2)).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))

    return auc


def average_precision_statistic(labels: ArrayLike, scores: ArrayLike) -> Statistic:
    """Area under the precision-recall curve as average precision: sum of recall steps times precision."""
    sorted_sums = _sums_by_score(labels, scores)

    def average_precision(weights: Floats) -> Floats:
        positive, negative = (item[:, ::-1] for item in sorted_sums(weights))
        hits, false = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
        precision = hits / np.maximum(hits + false, np.finfo(float).tiny)
        return _ratio((positive * precision).sum(axis=1), positive.sum(axis=1))

    return average_precision


def operating_shares(labels: ArrayLike, called: ArrayLike) -> dict[str, tuple[Booleans, Booleans]]:
    """Measures at an operating point as (hits, among which images); labels and calls are boolean, true is pneumonia."""
    positive, called = np.asarray(labels, bool), np.asarray(called, bool)
    return {
        "sensitivity": (called, positive),
        "specificity": (~called, ~positive),
        "ppv": (positive, called),
        "npv": (~positive, ~called),
        "accuracy": (positive == called, np.ones_like(positive)),
    }


def f1_statistic(labels: ArrayLike, called: ArrayLike) -> Statistic:
    """Harmonic mean of sensitivity and positive predictive value."""
    positive, called = np.asarray(labels, bool), np.asarray(called, bool)
    return lambda weights: _ratio(2 * (weights @ (positive & called)), weights @ positive + weights @ called)


def calibration_error_statistic(
    labels: ArrayLike, probabilities: ArrayLike, share: float | None = None, bins: int = BINS
) -> Statistic:
    """Expected calibration error as of `calibration.calibration_error`, as if `share` of the images had pneumonia.

    Both classes are weighed to that share (None: their own), so a set that was collected half and half can tell how
    good probabilities are where pneumonia is rare. NaN with one class only.
    """
    positive, scores = np.asarray(labels, bool), np.asarray(probabilities, np.float64)
    binned = (probability_bins(scores, bins)[:, None] == np.arange(bins)).astype(np.float64)
    sick, well = binned * (positive * (scores - 1))[:, None], binned * (~positive * scores)[:, None]

    def error(weights: Floats) -> Floats:
        some, others = (weights @ marked.astype(np.float64) for marked in (positive, ~positive))
        of_sick = _ratio(some, some + others) if share is None else np.full(len(weights), share)
        for_sick, for_well = _ratio(of_sick, some)[:, None], _ratio(1 - of_sick, others)[:, None]
        gap: Floats = np.abs((weights @ sick) * for_sick + (weights @ well) * for_well).sum(axis=1)
        return gap

    return error


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """ROC AUC of all images alike; NaN with one class only."""
    return float(auc_statistic(labels, scores)(np.ones((1, len(np.asarray(labels)))))[0])


def _sums_by_score(labels: ArrayLike, scores: ArrayLike) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Weights of positives and of negatives summed per distinct score, ascending: each (b, distinct scores)."""
    positive, scores = np.asarray(labels, bool), np.asarray(scores, np.float64)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) > 0) if len(scores) else np.zeros(0, int)
    ordered = positive[order]

    def sums(weights: Floats) -> tuple[Floats, Floats]:
        weights = weights[:, order]
        return np.add.reduceat(weights * ordered, starts, axis=1), np.add.reduceat(weights * ~ordered, starts, axis=1)

    return sums


def _ratio(part: Floats, whole: Floats) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return shares
