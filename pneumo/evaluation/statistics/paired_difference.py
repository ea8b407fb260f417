"""Is one model better than another on the same images? DeLong's test and a paired patient-wise bootstrap."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumo.errors import DataError
from pneumo.evaluation.statistics.metrics import LEVEL, auc_statistic, interval
from pneumo.records.base import Interval, Record

Floats = NDArray[np.float64]
RESAMPLES = 10_000  # more than for one model's figures, because levels above 95 % need more


class Comparison(Record):
    """Difference of ROC AUCs, first minus second, with intervals at a level (0.95 is 95 %).

    `delong` treats images as independent. `bootstrap` keeps a patient's images together; decisions are made by it.
    """

    first: float
    second: float
    delong: Interval
    p_value: float
    bootstrap: Interval
    level: float = LEVEL


def compare(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    patients: ArrayLike,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two models' scores of the same images (n,).

    Raises:
        DataError: fewer than two images of a class, or lengths that differ.
    """
    from scipy.stats import norm

    positive = np.asarray(labels, bool)
    scores = np.stack([_scores(first, positive), _scores(second, positive)])
    aucs, covariance = delong_covariance(positive, scores)
    difference = float(aucs[0] - aucs[1])
    error = float(np.sqrt(max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
    half = float(norm.ppf((1 + level) / 2)) * error
    p_value = float(2 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    one, two = auc_statistic(positive, scores[0]), auc_statistic(positive, scores[1])
    return Comparison(
        first=float(aucs[0]),
        second=float(aucs[1]),
        delong=Interval(value=difference, low=difference - half, high=difference + half),
        p_value=p_value,
        bootstrap=interval(lambda weights: one(weights) - two(weights), patients, resamples, seed, level),
        level=level,
    )


def delong_covariance(labels: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """AUCs (k,) and their covariance (k, k) of k models' scores (k, n) by DeLong, DeLong and Clarke-Pearson (1988).

    By the fast algorithm with midranks of Sun and Xu, IEEE Signal Processing Letters 21 (2014).
    """
    from scipy.stats import rankdata

    positive, negative = scores[:, labels], scores[:, ~labels]
    count, rest = positive.shape[1], negative.shape[1]
    if min(count, rest) < 2:
        raise DataError(f"Expected at least two images of each class to compare on, got {count} and {rest}: add some.")
    ranks = rankdata(np.hstack([positive, negative]), axis=1)
    aucs = ranks[:, :count].sum(axis=1) / (count * rest) - (count + 1) / (2 * rest)
    by_positive = (ranks[:, :count] - rankdata(positive, axis=1)) / rest
    by_negative = 1 - (ranks[:, count:] - rankdata(negative, axis=1)) / count
    return aucs, np.atleast_2d(np.cov(by_positive)) / count + np.atleast_2d(np.cov(by_negative)) / rest


def _scores(scores: ArrayLike, labels: NDArray[np.bool_]) -> Floats:
    values = np.asarray(scores, np.float64)
    if values.shape != labels.shape:
        raise DataError(
            f"Expected a score for each of {len(labels)} images, got {values.shape}: score the same images."
        )
    return values
