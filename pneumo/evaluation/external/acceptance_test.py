"""Acceptance test: some labelled images of a place calibrate the model, the others judge it."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.splits import groups, position_of
from pneumo.errors import DataError
from pneumo.evaluation.measures import Operating, apply_operating, is_pneumonia, measure
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.evaluation.statistics.metrics import calibration_error_statistic, interval
from pneumo.evaluation.statistics.sample_size import Need, area_need, share_need
from pneumo.records.base import LABELS, Interval, Record
from pneumo.settings.promotion import Promotion

FEWEST = 10  # images of each class that calibration needs, and the judgement


class SetFigures(Record):
    """A model's figures at a place with one operating point, with 95 % intervals over patients."""

    offset: float
    temperature: float
    threshold: float
    auc: Interval
    sensitivity: Interval
    specificity: Interval
    calibration_error: Interval
    metrics: dict[str, float]
    slices: dict[str, dict[str, float]]

    @property
    def operating(self) -> Operating:
        """The operating point of these figures."""
        return Operating(self.offset, self.temperature, self.threshold)


def judge(rows: pd.DataFrame, operating: Operating, share: float | None = None) -> SetFigures:
    """Figures of scored rows (label, patient, logit, ...) with an operating point.

    Args:
        rows: images of the place.
        operating: offset, temperature and threshold.
        share: of pneumonia at the place, 0 to 1, for the calibration error; None: that of the rows.
    """
    called = apply_operating(rows, operating)
    measures = measure(called, operating.temperature)
    statistic = calibration_error_statistic(is_pneumonia(called), called["probability"], share)
    error = interval(statistic, called["patient"])
    ends = {"calibration_error_low": error.low, "calibration_error_high": error.high}
    return SetFigures(
        **operating._asdict(),
        **{name: measures.intervals[name] for name in ("auc", "sensitivity", "specificity")},
        calibration_error=error,
        metrics=measures.flat() | {"calibration_error": error.value} | ends,
        slices=measure_slices(called),
    )


def draw(rows: pd.DataFrame, count: int) -> NDArray[np.bool_]:
    """Mark at most `count` images to calibrate on, bool (n,): whole patients, with the set's shares of the classes.

    Patients are taken in the order of a hash, so the draw is the same on every machine. Patients who share an identical
    picture count as one.

    Raises:
        DataError: too few images of a class are drawn, or are left for the judgement.
    """
    patient = groups(rows) if "pixels" in rows else rows["patient"]
    sick = is_pneumonia(rows)
    ill = set(patient[sick])
    wanted = {True: round(count * float(sick.mean()))}
    wanted[False] = count - wanted[True]
    taken = set()
    for name, images in sorted(patient.value_counts().to_dict().items(), key=lambda item: position_of(str(item[0]))):
        if images <= wanted[name in ill]:
            wanted[name in ill] -= images
            taken.add(name)
    drawn = patient.isin(taken).to_numpy(bool)
    _require_both(rows, drawn, count)
    return drawn


def for_prevalence(operating: Operating, before: float, there: float) -> Operating:
    """An operating point for another share of pneumonia: probabilities change, calls do not.

    By Bayes' rule the odds of pneumonia change by the ratio of the prior odds (Saerens et al. 2002), so the
    calibrated logit (logit + offset) / temperature grows by d = logit(there) - logit(before), the offset by
    temperature * d. Sensitivity and specificity do not depend on the share, so the threshold moves by d, too.

    Args:
        operating: as fitted.
        before: share of pneumonia, in 0 to 1, among the images that it was fitted on.
        there: share of pneumonia at the place, in 0 to 1.
    """
    from scipy.special import expit, logit

    step = float(logit(there) - logit(before))
    threshold = float(expit(logit(operating.threshold) + step))
    return Operating(operating.offset + operating.temperature * step, operating.temperature, threshold)


def needs(rows: pd.DataFrame, policy: Promotion, half_width: float) -> tuple[Need, ...]:
    """Sample sizes for the limits of ROC AUC, sensitivity and specificity, in patients, whose images are alike."""
    has = rows.groupby("label")["patient"].nunique()
    normal, pneumonia = (int(has[label]) for label in LABELS)
    return (
        area_need("ROC AUC", policy.minimum_auc, half_width, normal, pneumonia),
        share_need("sensitivity", policy.minimum_sensitivity, half_width, pneumonia, pneumonia=True),
        share_need("specificity", policy.minimum_specificity, half_width, normal, pneumonia=False),
    )


def counts(rows: pd.DataFrame) -> dict[str, int]:
    """Number of images by class."""
    found: Any = rows["label"].value_counts()
    return {label: int(found.get(label, 0)) for label in LABELS}


def _require_both(rows: pd.DataFrame, drawn: NDArray[np.bool_], count: int) -> None:
    have, taken, left = counts(rows), counts(rows[drawn]), counts(rows[~drawn])
    if min(left.values()) < FEWEST:
        raise DataError(
            f"Expected at least {FEWEST} images of each class to be left to judge by, but calibrating on {count} "
            f"leaves {in_words(left)} of {in_words(have)}: give a smaller number, or add images."
        )
    if min(taken.values()) < FEWEST:
        least = math.ceil(FEWEST * len(rows) / min(have.values()))
        raise DataError(
            f"Expected at least {FEWEST} images of each class to calibrate on, but {count} images drawn by patient "
            f"are {in_words(taken)}: give at least {least}, or add images of the rarer class."
        )


def in_words(found: dict[str, int]) -> str:
    """Numbers of images by class, in words for a sentence."""
    return " and ".join(f"{number} {label}" for label, number in found.items())
