"""Every answer that was given, kept for monitoring: no path, no name, images by a keyed hash."""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo.serving.daily_log import TIME, DailyLog, LoggedRow
from pneumo.serving.fresh_process.client import Answer
from pneumo.tracking import ModelVersion

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "answers"
HTTP, BATCH, APP = "http", "batch", "app"  # sources of questions
SCORED = {
    "id": "string",
    "time": TIME,
    "image": "string",
    "model": "string",
    "version": "string",
    "probability": "float64",
    "label": "string",
    "out_of_distribution": "bool",
}
COLUMNS = {**SCORED, "source": "string", "seconds": "float64"}


class ScoredRow(LoggedRow):
    """What a version said of an image, which goes by its keyed hash; without a label if it could not be read."""

    image: str
    model: str
    version: str
    probability: float | None
    label: str | None
    out_of_distribution: bool


class KeptAnswer(ScoredRow):
    """A line of the log, and a row of its tables; `seconds` is of the whole request, or step of a batch."""

    source: str
    seconds: float


class AnswerLog:
    """Appends answers to the log of a state folder; one per process that answers."""

    def __init__(self, home: Path, secret: bytes, source: str) -> None:
        """`secret`: key of the images' hashes; `source`: who asked, such as `HTTP`."""
        self._log, self._secret, self._source = daily_log(home), secret, source

    def add(
        self,
        version: ModelVersion,
        digests: Sequence[str],
        answers: Sequence[Answer],
        seconds: float,
        batch: str | None = None,
    ) -> None:
        """Keep the answers to images of these sha256; `seconds`: of the whole request.

        An image that could not be read has neither probability nor label; why is not kept, since errors quote headers.

        Args:
            batch: name of a scoring that may be cut off; an answer that it logs again, to the same image, counts once.

        Raises:
            OSError: the log cannot be written.
        """
        now = datetime.now(UTC)
        rows = [
            KeptAnswer(
                id=keyed(f"{batch} {digest}", self._secret) if batch else uuid.uuid4().hex,
                time=now,
                image=keyed(digest, self._secret),
                model=version.name,
                version=version.version,
                probability=answer.probability,
                label=answer.label,
                out_of_distribution=answer.out_of_distribution,
                source=self._source,
                seconds=round(seconds, 4),
            )
            for digest, answer in zip(digests, answers, strict=True)
        ]
        self._log.append(rows)


def keyed(text: str, secret: bytes) -> str:
    """HMAC-SHA-256 of a text, such as an image's sha256, cut to 128 bits, as 32 hexadecimal digits."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:32]


def daily_log(home: Path) -> DailyLog:
    """The log of a state folder."""
    return DailyLog(home / FOLDER, KeptAnswer, COLUMNS)


def read(home: Path) -> "tuple[pd.DataFrame, int]":
    """All answers by time, and how many lines of them cannot be read.

    Columns as in `COLUMNS`; `time` is UTC.

    Raises:
        DataError: the file of a day that was packed cannot be read.
    """
    return daily_log(home).read()


def pack(home: Path) -> None:
    """Make Parquet of the days that are over; killed at any moment, it loses and doubles nothing.

    Raises:
        OSError: the log cannot be written.
        DataError: the file of a day that was packed before cannot be read.
    """
    daily_log(home).pack()
