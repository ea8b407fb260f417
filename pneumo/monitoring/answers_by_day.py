"""What the model answered, by day, version and who asked."""

from datetime import date
from typing import TYPE_CHECKING

from pneumo.records.base import LABELS, Record

if TYPE_CHECKING:
    import pandas as pd


class AnswersOfDay(Record):
    """Answers of a version on a day (UTC) to one source of questions, "http", "batch" or "app".

    `positive` is the share of readable images that were called PNEUMONIA, `out_of_distribution` the share of readable
    images unlike the training data, `unreadable` of all; `seconds` is the median of a request, or of a step of a batch.
    """

    day: date
    model: str
    version: str
    source: str
    images: int
    positive: float
    out_of_distribution: float
    unreadable: float
    seconds: float


def by_day(answers: "pd.DataFrame") -> list[AnswersOfDay]:
    """A row per day, version and source, oldest first, of the columns of `pneumo.serving.answer_log.COLUMNS`."""
    groups = answers.groupby([answers["time"].dt.date, "model", "version", "source"], sort=True)
    return [_row(group) for _, group in groups]


def _row(group: "pd.DataFrame") -> AnswersOfDay:
    first, read = group.iloc[0], group[group["label"].notna()]
    return AnswersOfDay(
        day=first["time"].date(),
        model=first["model"],
        version=first["version"],
        source=first["source"],
        images=len(group),
        positive=float((read["label"] == LABELS[1]).mean()) if len(read) else 0.0,
        out_of_distribution=float(read["out_of_distribution"].mean()) if len(read) else 0.0,
        unreadable=1 - len(read) / len(group),
        seconds=float(group["seconds"].median()),
    )
