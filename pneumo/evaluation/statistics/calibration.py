"""Calibration of logits to probabilities, and the threshold of a call; fitted on validation images only."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumo.errors import DataError

Floats = NDArray[np.float64]
BINS = 10
TEMPERATURES = (0.05, 20.0)


def probability(logits: ArrayLike, temperature: float = 1.0, offset: float = 0.0) -> Floats:
    """Probability of pneumonia = sigmoid((logit + offset) / temperature)."""
    from scipy.special import expit

    result: Floats = expit((np.asarray(logits, np.float64) + offset) / temperature)
    return result


def fit_calibration(labels: ArrayLike, logits: ArrayLike) -> tuple[float, float]:
    """Offset and temperature that minimise the log loss: Platt scaling (1999), as offset before temperature.

    Balanced class weights and smoothed labels move the logit of even odds away from 0, so a temperature alone (Guo et
    al. 2017) cannot calibrate. The temperature stays within 0.05 to 20.

    Raises:
        DataError: one class only.
    """
    from scipy.optimize import minimize

    target, logits = _targets(labels), np.asarray(logits, np.float64)
    slopes = tuple(1 / temperature for temperature in reversed(TEMPERATURES))
    found = minimize(  # convex in slope and intercept
        lambda line: _log_loss(target, line[0] * logits + line[1]), (1.0, 0.0), bounds=(slopes, (None, None))
    )
    slope, intercept = (float(value) for value in found.x)
    return intercept / slope, 1 / slope


def _targets(labels: ArrayLike) -> Floats:
    """Platt's (1999) smoothed targets: validation images that are separable do not make probabilities 0 and 1."""
    positive = _both_classes(labels)
    count, rest = positive.sum(), (~positive).sum()
    target: Floats = np.where(positive, (count + 1) / (count + 2), 1 / (rest + 2))
    return target


def _log_loss(target: Floats, logits: Floats) -> float:
    return float(np.mean(np.logaddexp(0, logits) - target * logits))


def pick_threshold(labels: ArrayLike, probabilities: ArrayLike, target_sensitivity: float) -> float:
    """The highest threshold whose sensitivity reaches a target, so the one with the best specificity.

    It lies halfway to the next lower probability, so that rounding on another machine does not change a call.

    Raises:
        DataError: one class only.
    """
    positive, scores = _both_classes(labels), np.asarray(probabilities, np.float64)
    positives = np.sort(scores[positive])[::-1]
    # So many positives must be called. The tolerance is for products like 0.95 * 20, which is a little more than 19.
    needed = max(1, int(np.ceil(target_sensitivity * len(positives) - 1e-9)))
    highest = positives[needed - 1]
    lower = scores[scores < highest].max(initial=0.0)
    return float((highest + lower) / 2)


def probability_bins(probabilities: NDArray[np.float64], bins: int = BINS) -> NDArray[np.intp]:
    """The equal-width bin of each probability (n,), 0 to bins - 1."""
    return np.clip((probabilities * bins).astype(np.intp), 0, bins - 1)


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015): mean gap of probability and share of pneumonia over bins."""
    positive, scores = np.asarray(labels, bool), np.asarray(probabilities, np.float64)
    gaps = np.bincount(probability_bins(scores, bins), weights=scores - positive, minlength=bins)
    return float(np.abs(gaps).sum() / len(scores))


def calibration_slope(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Slope of the label's log odds over the logit (Cox 1958): 1 is calibrated, below 1 overconfident.

    None where it is not defined: one class only, or classes that the logit separates.
    """
    from sklearn.linear_model import LogisticRegression

    positive, logits = np.asarray(labels, bool), np.asarray(logits, np.float64)
    if positive.all() or not positive.any():
        return None
    apart = logits[positive].min() >= logits[~positive].max() or logits[positive].max() <= logits[~positive].min()
    if apart:
        return None
    scale = float(np.abs(logits).max())
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(logits[:, None] / scale, positive)
    return float(model.coef_[0, 0] / scale)


def brier_score(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean squared difference of probability and label (Brier 1950): 0 is perfect."""
    return float(np.mean((np.asarray(probabilities, np.float64) - np.asarray(labels, bool)) ** 2))


def _both_classes(labels: ArrayLike) -> NDArray[np.bool_]:
    positive = np.asarray(labels, bool)
    if positive.all() or not positive.any():
        raise DataError(f"Expected validation images of both classes, got {len(positive)} of one: add the other.")
    return positive
