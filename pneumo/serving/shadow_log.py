"""The log of what a shadow said of images that the champion answered; it is not part of the log of answers."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumo.serving.answer_log import SCORED, ScoredRow
from pneumo.serving.daily_log import DailyLog
from pneumo.serving.fresh_process.client import Answer
from pneumo.tracking import ModelVersion

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "shadow"
COLUMNS = {
    **SCORED,
    "champion": "string",
    "champion_probability": "float64",
    "champion_label": "string",
    "champion_out_of_distribution": "bool",
}


class Answered(NamedTuple):
    """An image, by the keyed hash of the answers' log, and what the champion said of it."""

    image: str
    answer: Answer


class ShadowAnswer(ScoredRow):
    """A line of the log: a pair of answers to an image; `version` is the shadow's."""

    champion: str
    champion_probability: float | None
    champion_label: str | None
    champion_out_of_distribution: bool


def pairs(
    shadow: ModelVersion, champion: ModelVersion, answered: Sequence[Answered], said: Sequence[Answer]
) -> list[ShadowAnswer]:
    """Lines for images that both scored, in their order."""
    now = datetime.now(UTC)
    return [
        ShadowAnswer(
            id=uuid.uuid4().hex,
            time=now,
            image=image,
            model=shadow.name,
            version=shadow.version,
            probability=own.probability,
            label=own.label,
            out_of_distribution=own.out_of_distribution,
            champion=champion.version,
            champion_probability=theirs.probability,
            champion_label=theirs.label,
            champion_out_of_distribution=theirs.out_of_distribution,
        )
        for (image, theirs), own in zip(answered, said, strict=True)
    ]


def daily_log(home: Path) -> DailyLog:
    """The log of a state folder."""
    return DailyLog(home / FOLDER, ShadowAnswer, COLUMNS)


def read(home: Path) -> "tuple[pd.DataFrame, int]":
    """All pairs by time, and how many lines of them cannot be read; columns as in `COLUMNS`, `time` is UTC.

    Raises:
        DataError: the file of a day that was packed cannot be read.
    """
    return daily_log(home).read()
