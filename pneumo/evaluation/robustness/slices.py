"""The same measures for slices of the test images, so that a good mean cannot hide a bad part."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.evaluation.statistics.metrics import auc_statistic, interval
from pneumo.evaluation.statistics.sample_size import smallest_difference

MINIMUM = 20  # images of each class; an AUC of fewer says nothing and is left out
THIRDS = ("low", "middle", "high")
ACQUISITION = {"brightness": "mean", "contrast": "std", "border": "border"}
NAMED = ("mode", "source", "view", "manufacturer", "age", "sex")  # columns of words; no slice where one is empty


def measure_slices(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Measures of every slice of scored test images.

    Args:
        rows: label, subtype, patient, probability, called (bool), width, height, and any statistics of the manifest.

    Returns:
        By slice: images, and where defined auc, auc_low, auc_high (95 %), sensitivity, specificity, and `shows`: how
        far below the AUC of all images that of the slice must be to be told from chance, by its number of patients.
    """
    area = float(auc_statistic(rows["label"] == "PNEUMONIA", rows["probability"])(np.ones((1, len(rows))))[0])
    return {name: _measure(rows[mask], area) for name, mask in _slices(rows) if mask.any()}


def _slices(rows: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    normal = (rows["label"] == "NORMAL").to_numpy()
    for subtype in ("bacteria", "virus"):
        # Pneumonia of one kind against all normal images, since a kind alone has only one class.
        mine = (rows["subtype"] == subtype).to_numpy()
        if mine.any():
            yield subtype, mine | normal
    yield from _thirds("size", np.sqrt(rows["width"].to_numpy(float) * rows["height"].to_numpy(float)))
    for name, column in ACQUISITION.items():
        if column in rows:
            yield from _thirds(name, rows[column].to_numpy(float))
    for column in NAMED:
        values = rows[column].fillna("").astype(str) if column in rows else pd.Series(dtype=str)
        if len(told := sorted({*values} - {""})) > 1:
            yield from ((f"{column} {value}", (values == value).to_numpy()) for value in told)


def _thirds(name: str, values: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Thirds of the rows by the rank of a value; none where all values are equal."""
    edges = np.unique(np.quantile(values, (1 / 3, 2 / 3)))
    place = np.searchsorted(edges, values, side="left")
    if len(np.unique(place)) == len(THIRDS):
        yield from ((f"{name} {third}", place == number) for number, third in enumerate(THIRDS))


def _measure(rows: pd.DataFrame, whole: float) -> dict[str, float]:
    positive, called = (rows["label"] == "PNEUMONIA").to_numpy(), rows["called"].to_numpy(bool)
    measures = {"images": float(len(rows))}
    if positive.any():
        measures["sensitivity"] = float(called[positive].mean())
    if not positive.all():
        measures["specificity"] = float(1 - called[~positive].mean())
    if min(positive.sum(), (~positive).sum()) >= MINIMUM:
        area = interval(auc_statistic(positive, rows["probability"]), rows["patient"], resamples=500)
        measures |= {"auc": area.value, "auc_low": area.low, "auc_high": area.high}
        if whole < 1:  # a perfect one has no error that the formula could tell
            patients = [rows.loc[mask, "patient"].nunique() for mask in (~positive, positive)]
            measures["shows"] = smallest_difference(whole, *patients)
    return measures
