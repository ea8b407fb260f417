"""Realised figures: how well answers agree with what readers said of their images."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pneumo.records.base import LABELS, Interval, Record
from pneumo.serving.answer_log import keyed

if TYPE_CHECKING:
    import pandas as pd

MOST = 10_000  # newest images with feedback of a version that are measured: more make no visible difference
NAMES = {
    "auc": "ROC AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "calibration_error": "calibration error",
}


class Realised(Record):
    """Figures of a version on its answered images with feedback, of which `normal` and `pneumonia` are so many.

    Intervals are 95 %, as if each image were of another patient, since the log knows no patients. If there are too few
    images of a class, figures are None and `withheld` says so.
    """

    normal: int
    pneumonia: int
    auc: Interval | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    calibration_error: Interval | None = None
    withheld: str = ""


def each_image_once(answers: "pd.DataFrame") -> "pd.DataFrame":
    """The newest answer of each version to each image that could be read, by time.

    Without UNCERTAIN, which an older pneumo kept as a label: it calls an image neither ill nor healthy.
    """
    read = answers[answers["label"].isin(LABELS) & answers["probability"].notna()]
    return read.drop_duplicates(["model", "version", "image"], keep="last")


def unlearned(labels: "pd.Series[str]", manifest: Path, secret: bytes) -> "pd.Series[str]":
    """Labels of images that a version did not learn from: on its own ones figures would be too good.

    Images with feedback are often added to the data set, and answered again by the version that was trained on them.

    Args:
        labels: what readers agree on, by image.
        manifest: of the data set that the version was trained on.
        secret: with which images are hashed in the log of answers.
    """
    import pandas as pd

    rows = pd.read_parquet(manifest, columns=["sha256", "split"])
    learned = {keyed(digest, secret) for digest in rows.loc[rows["split"] != "test", "sha256"]}
    return labels[~labels.index.isin(learned)]


def realised(answers: "pd.DataFrame", labels: "pd.Series[str]", fewest: int) -> Realised:
    """Figures of a version, at the labels that were answered.

    Args:
        answers: its own, from `each_image_once`.
        labels: what readers agree on, by image.
        fewest: with fewer images of a class figures are withheld.
    """
    from pneumo.evaluation.statistics.metrics import auc_statistic, calibration_error_statistic, interval
    from pneumo.evaluation.statistics.metrics import operating_shares as shares
    from pneumo.evaluation.statistics.proportions import share_interval

    rows = answers.assign(truth=answers["image"].map(labels)).dropna(subset="truth").tail(MOST)
    ill, called = (rows[name].to_numpy() == LABELS[1] for name in ("truth", "label"))
    scores, patients = rows["probability"].to_numpy(float), np.arange(len(rows))
    found = Realised(normal=int((~ill).sum()), pneumonia=int(ill.sum()))
    if min(found.normal, found.pneumonia) < fewest:
        words = (
            f"{found.normal} NORMAL and {found.pneumonia} PNEUMONIA images have feedback, {fewest} of each are needed"
        )
        return found.model_copy(update={"withheld": words})
    point = {name: pair for name, pair in shares(ill, called).items() if name in NAMES}
    figures = {name: share_interval(*pair, patients) for name, pair in point.items()}
    figures["auc"] = interval(auc_statistic(ill, scores), patients)
    figures["calibration_error"] = interval(calibration_error_statistic(ill, scores), patients)
    return found.model_copy(update=figures)
