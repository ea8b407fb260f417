"""All numbers of a model from its predictions alone."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from pneumo.evaluation import calibration
from pneumo.evaluation.metrics import (
    auc_statistic,
    average_precision_statistic,
    f1_statistic,
    interval,
    operating_shares,
)
from pneumo.evaluation.shares import share_interval
from pneumo.stages import Interval


class Operating(NamedTuple):
    """How logits become calls: probability = sigmoid((logit + offset) / temperature), called from `threshold` up."""

    offset: float
    temperature: float
    threshold: float


class Measures(NamedTuple):
    """`intervals` are measures with a 95 % interval over patients, `numbers` those without one."""

    intervals: dict[str, Interval]
    numbers: dict[str, float]

    def flat(self) -> dict[str, float]:
        """One name per number: auc, auc_low, auc_high, ... and the numbers."""
        ends = {f"{name}_{end}": getattr(item, end) for name, item in self.intervals.items() for end in ("low", "high")}
        return {name: item.value for name, item in self.intervals.items()} | ends | self.numbers


def fit_operating(validation: pd.DataFrame, target_sensitivity: float) -> Operating:
    """Offset, temperature and threshold from validation rows (label, logit).

    Raises:
        DataError: one class only.
    """
    labels = is_pneumonia(validation)
    offset, temperature = calibration.fit_calibration(labels, validation["logit"])
    probabilities = calibration.probability(validation["logit"], temperature, offset)
    return Operating(offset, temperature, calibration.pick_threshold(labels, probabilities, target_sensitivity))


def apply_operating(rows: pd.DataFrame, operating: Operating) -> pd.DataFrame:
    """Rows with the columns probability (0 to 1) and called (bool) added."""
    probabilities = calibration.probability(rows["logit"], operating.temperature, operating.offset)
    return rows.assign(probability=probabilities, called=probabilities >= operating.threshold)


def measure(rows: pd.DataFrame, temperature: float) -> Measures:
    """Measure scored rows (label, patient, logit, probability, called).

    `_raw` are values before calibration.

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
    # Without the predictive value of a call that was never made.
    shares = {name: pair for name, pair in operating_shares(labels, called).items() if pair[1].any()}
    intervals |= {name: share_interval(*pair, rows["patient"]) for name, pair in shares.items()}
    raw = calibration.probability(logits)
    numbers = {
        "brier": calibration.brier_score(labels, probabilities),
        "brier_raw": calibration.brier_score(labels, raw),
        "calibration_error": calibration.calibration_error(labels, probabilities),
        "calibration_error_raw": calibration.calibration_error(labels, raw),
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
