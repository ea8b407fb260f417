"""All figures of a model that its predictions alone give."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pneumo.evaluation.statistics import calibration
from pneumo.evaluation.statistics.metrics import (
    auc_statistic,
    average_precision_statistic,
    f1_statistic,
    interval,
    operating_shares,
)
from pneumo.evaluation.statistics.proportions import share_interval
from pneumo.records.base import Interval

# Functions of labels, bool (n,), and probabilities, float (n,); each is also measured before calibration (<name>_raw).
PROBABILITY_METRICS: dict[str, Callable[[Any, Any], float]] = {
    "brier": calibration.brier_score,
    "calibration_error": calibration.calibration_error,
}


class Operating(NamedTuple):
    """How logits become calls: probability = sigmoid((logit + offset) / temperature); a call from `threshold` on."""

    offset: float
    temperature: float
    threshold: float


class Measures(NamedTuple):
    """`intervals` are measures with a 95 % interval over patients, `numbers` those without an interval."""

    intervals: dict[str, Interval]
    numbers: dict[str, float]

    def flat(self) -> dict[str, float]:
        """All as numbers by name: auc, auc_low, auc_high, ..."""
        ends = {f"{name}_{end}": getattr(item, end) for name, item in self.intervals.items() for end in ("low", "high")}
        return {name: item.value for name, item in self.intervals.items()} | ends | self.numbers


def fit_operating(validation: pd.DataFrame, shifted: pd.DataFrame | None, target_sensitivity: float) -> Operating:
    """Fit offset, temperature and threshold to validation images as they are and under simulated shift, together.

    A model that is calibrated on unshifted images alone is overconfident at other places (Ovadia et al. 2019). Shifted
    images are drawn equally from both classes, so another share of pneumonia is a part of the shift.

    Args:
        validation: rows with label and logit.
        shifted: rows of shifted images; None where there are none.

    Raises:
        DataError: one class only.
    """
    rows = validation if shifted is None else pd.concat([validation, shifted], ignore_index=True)
    labels = is_pneumonia(rows)
    offset, temperature = calibration.fit_calibration(labels, rows["logit"])
    probabilities = calibration.probability(rows["logit"], temperature, offset)
    return Operating(offset, temperature, calibration.pick_threshold(labels, probabilities, target_sensitivity))


def apply_operating(rows: pd.DataFrame, operating: Operating) -> pd.DataFrame:
    """Rows with the columns probability (0 to 1) and called (bool) added."""
    probabilities = calibration.probability(rows["logit"], operating.temperature, operating.offset)
    return rows.assign(probability=probabilities, called=probabilities >= operating.threshold)


def operating_figures(rows: pd.DataFrame, operating: Operating) -> dict[str, float]:
    """Calibration error, sensitivity and specificity of rows with label and logit, at an operating point."""
    scored = apply_operating(rows, operating)
    ill, called = is_pneumonia(scored), scored["called"].to_numpy(bool)
    return {
        "calibration_error": calibration.calibration_error(ill, scored["probability"]),
        "sensitivity": float(called[ill].mean()),
        "specificity": float(1 - called[~ill].mean()),
    }


def measure(rows: pd.DataFrame, temperature: float) -> Measures:
    """Measure scored rows (label, patient, logit, probability, called).

    Names that end in `_raw` are measured before calibration.

    Raises:
        DataError: one class only.
    """
    labels, called = is_pneumonia(rows), rows["called"].to_numpy(bool)
    logits, probabilities = rows["logit"].to_numpy(float), rows["probability"].to_numpy(float)
    statistics = {
        "auc": auc_statistic(labels, logits),
        "pr_auc": average_precision_statistic(labels, logits),
        "f1": f1_statistic(labels, called),
    }
    intervals = {name: interval(item, rows["patient"]) for name, item in statistics.items()}
    # A call that was never made has no predictive value.
    shares = {name: pair for name, pair in operating_shares(labels, called).items() if pair[1].any()}
    intervals |= {name: share_interval(*pair, rows["patient"]) for name, pair in shares.items()}
    raw = calibration.probability(logits)
    numbers = {
        **{name: metric(labels, probabilities) for name, metric in PROBABILITY_METRICS.items()},
        **{f"{name}_raw": metric(labels, raw) for name, metric in PROBABILITY_METRICS.items()},
        "images": float(len(rows)),
        "patients": float(rows["patient"].nunique()),
        "prevalence": float(labels.mean()),
    }
    if (slope := calibration.calibration_slope(labels, logits)) is not None:
        numbers |= {"calibration_slope": slope * temperature, "calibration_slope_raw": slope}
    return Measures(intervals, numbers)


def is_pneumonia(rows: pd.DataFrame) -> np.ndarray:
    """Boolean labels (n,)."""
    return (rows["label"] == "PNEUMONIA").to_numpy()
