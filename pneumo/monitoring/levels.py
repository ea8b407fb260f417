"""What a version answers in the last days against what it answered at first."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pneumo.monitoring.expected_auc import USUAL
from pneumo.monitoring.realised import each_image_once
from pneumo.records.base import LABELS, Record

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 30  # images in a period, else its shares say nothing


class Level(Record):
    """Answers of a period: images, share called PNEUMONIA, mean probability, share out-of-distribution; all 0 to 1."""

    images: int
    positive: float
    probability: float
    out_of_distribution: float


class Change(Record):
    """The last days, and what they are compared with, as words say; None where there are too few images."""

    recent: Level | None
    usual: Level | None
    words: str

    @property
    def usual_out_of_distribution(self) -> float:
        """The usual share; if it is not known, the share among validation images, which the limit fixes."""
        return self.usual.out_of_distribution if self.usual else USUAL


def level(rows: "pd.DataFrame") -> Level | None:
    """The level of answers with probability, label and out_of_distribution; None for fewer than 30 images."""
    if len(rows) < FEWEST:
        return None
    return Level(
        images=len(rows),
        positive=float((rows["label"] == LABELS[1]).mean()),
        probability=float(rows["probability"].mean()),
        out_of_distribution=float(rows["out_of_distribution"].mean()),
    )


def change(rows: "pd.DataFrame", days: int, now: datetime, validation: Level | None = None) -> Change:
    """The last days of a version against its first, or against validation images while the first are not over.

    Args:
        rows: its answers by time (UTC); an image counts once in each period.
        days: of both periods.
        now: UTC.
        validation: what it answers on its validation images, if that is known.
    """
    period = timedelta(days=days)
    recent = rows[rows["time"] > now - period]
    first = rows[rows["time"] <= rows["time"].min() + period] if len(rows) else rows
    apart = len(rows) and rows["time"].min() + period <= now - period
    begun = level(each_image_once(first)) if apart else None
    last = level(each_image_once(recent))
    if begun:
        return Change(recent=last, usual=begun, words=f"its first {days} days")
    return Change(recent=last, usual=validation, words="validation images" if validation else "")
