"""What readers said of images that were answered: kept without identities, each label once.

An image goes by the keyed hash of its answer, a reader by a keyed hash, too. A reader who says something else later has
corrected himself; different readers, or readers without a name, contradict each other.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import AwareDatetime, Field, field_validator

from pneumo.data.privacy.pseudonyms import pseudonym
from pneumo.records.base import Record
from pneumo.serving import answer_log
from pneumo.serving.daily_log import TIME, DailyLog, LoggedRow
from pneumo.serving.seen import Seen

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "feedback"
COLUMNS = {"id": "string", "time": TIME, "image": "string", "label": "string", "reader": "string"}
Outcome = Literal["kept", "known", "unknown image"]


def latest() -> datetime:
    """Until when a time is no future one: without a zone it may be that of any place on Earth, and clocks differ."""
    return datetime.now(UTC) + timedelta(days=1)


class Feedback(Record):
    """A reader's label of an image, which goes by the hash that its answer gave; `time`: when it was read."""

    image: str = Field(pattern="^[0-9a-f]{32}$", description="As the answer gave it back")
    label: Literal["NORMAL", "PNEUMONIA"]
    reader: str = Field("", max_length=200, description="Kept as a keyed hash")
    time: AwareDatetime | None = None

    @field_validator("label", mode="before")
    @classmethod
    def _in_capitals(cls, label: object) -> object:
        """Clients write labels as files do: in any case."""
        return label.strip().upper() if isinstance(label, str) else label

    @field_validator("time")
    @classmethod
    def _is_over(cls, time: datetime | None) -> datetime | None:
        """A label of the year 2206 would count as the newest one, whatever its reader says after it."""
        if time and time > latest():
            raise ValueError(f"expected a time that is not in the future, got {time.isoformat()}")
        return time


class KeptFeedback(LoggedRow):
    """A line of the log; `time` is that of reading, or of arrival where that was not given."""

    image: str
    label: str
    reader: str


class Agreed(NamedTuple):
    """Labels of the images on which all readers agree, and the contradicted others: image, label, reader."""

    labels: "pd.Series[str]"
    contradicted: "pd.DataFrame"


class FeedbackLog:
    """Takes feedback into the log of a state folder; one per process."""

    def __init__(self, home: Path, secret: bytes) -> None:
        """`secret`: key of the hashes, that of the answers."""
        self._log, self._secret = daily_log(home), secret
        self._turn = Lock()
        self._answered, self._known = Seen(home / answer_log.FOLDER, "image"), Seen(self._log.folder, "id")

    def add(self, given: Sequence[Feedback]) -> list[Outcome]:
        """Keep what is new of images that were answered; the outcome of each, in their order.

        Raises:
            OSError: the log cannot be written.
            DataError: the answers, or feedback of before, cannot be read.
        """
        with self._turn:
            return self._add(given, self._answered.update(), self._known.update())

    def _add(self, given: Sequence[Feedback], answered: Seen, known: Seen) -> list[Outcome]:
        now = datetime.now(UTC)
        rows: dict[str, KeptFeedback] = {}
        outcomes: list[Outcome] = []
        for item in given:
            row = self._row(item, now)
            outcomes.append(_outcome(row, answered, known, rows))
            if outcomes[-1] == "kept":
                rows[row.id] = row
        if rows:
            self._log.append(list(rows.values()))
        return outcomes

    def _row(self, item: Feedback, now: datetime) -> KeptFeedback:
        """Its id is the same whenever the same is said: by the same reader, of the same time if one is given."""
        reader = pseudonym("reader", item.reader, self._secret) if item.reader else ""
        time = item.time.astimezone(UTC).isoformat() if item.time else ""
        key = answer_log.keyed(f"{item.image} {item.label} {reader} {time}", self._secret)
        return KeptFeedback(id=key, time=item.time or now, image=item.image, label=item.label, reader=reader)


def _outcome(row: KeptFeedback, answered: Seen, known: Seen, new: Collection[str]) -> Outcome:
    if row.image not in answered:
        return "unknown image"
    return "known" if row.id in known or row.id in new else "kept"


def daily_log(home: Path) -> DailyLog:
    """The log of a state folder."""
    return DailyLog(home / FOLDER, KeptFeedback, COLUMNS, sync=True)


def agreed(home: Path) -> "tuple[Agreed, int]":
    """What readers said of all images, and how many lines of it cannot be read.

    Raises:
        DataError: the file of a day that was packed cannot be read.
    """
    import pandas as pd

    table, broken = daily_log(home).read()
    named = table["reader"] != ""
    last = table[named].drop_duplicates(["image", "reader"], keep="last")
    said = pd.concat([last, table[~named]]).drop_duplicates(["image", "label", "reader"])
    one = said.drop_duplicates(["image", "label"])
    several = one.loc[one["image"].duplicated(), "image"]
    labels = one[~one["image"].isin(several)].set_index("image")["label"]
    columns = ["image", "label", "reader"]
    return Agreed(labels, said.loc[said["image"].isin(several), columns].sort_values(columns)), broken
