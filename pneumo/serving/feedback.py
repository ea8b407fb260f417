"""What readers said of images that were answered: kept without identities, each label once.

An image goes by the keyed hash of its answer, a reader by a keyed hash, too. A reader who says something else later has
corrected himself; different readers, or readers without a name, contradict each other.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import AwareDatetime, Field, field_validator

from pneumo.data.privacy.pseudonyms import pseudonym
from pneumo.records.base import Record
from pneumo.serving import answer_log
from pneumo.serving.daily_log import TIME, DailyLog, LoggedRow
from pneumo.serving.followed_log import FollowedLog

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
        self._log, self._secret, self._turn = daily_log(home), secret, Lock()
        self._answers, self._answered = FollowedLog(home / answer_log.FOLDER, ["image"], bytes.fromhex), set[bytes]()
        self._said = _Said(self._log.folder)

    def add(self, given: Sequence[Feedback], repeats: Sequence[int] | None = None) -> list[Outcome]:
        """Keep what is new of images that were answered; the outcome of each, in their order.

        Args:
            given: the feedback. Without a time it is said now, and new unless the reader said the same last.
            repeats: of the rows of a file, how many equal ones are before each. A file can be given again, so of its
                rows without a time as many equal ones are kept as it has, whatever the reader said since.

        Raises:
            OSError: the log cannot be written; nothing of it is kept.
            DataError: the answers, or feedback of before, cannot be read.
        """
        with self._turn:
            self._answered.update(self._answers.new_rows())
            self._said.update()
            try:
                return self._add(given, repeats)
            except OSError:
                self._said = _Said(self._log.folder)  # it has noted what is not in the log
                raise

    def _add(self, given: Sequence[Feedback], repeats: Sequence[int] | None) -> list[Outcome]:
        now, rows, outcomes = datetime.now(UTC), list[KeptFeedback](), list[Outcome]()
        for place, item in enumerate(given):
            row = self._row(item, now, repeats[place] if repeats else 0)
            if repeats is None and not item.time and row.reader:
                row = self._said.anew(row)
            outcomes.append(self._outcome(row))
            if outcomes[-1] == "kept":
                self._said.note(row)
                rows.append(row)
        if rows:
            self._log.append(rows)
        return outcomes

    def _row(self, item: Feedback, now: datetime, repeat: int) -> KeptFeedback:
        """Its id is the same whenever the same is said: by the same reader, of the same time if one is given."""
        reader = pseudonym("reader", item.reader, self._secret) if item.reader else ""
        time = item.time.astimezone(UTC).isoformat() if item.time else ""
        text = f"{item.image} {item.label} {reader} {time}{f' {repeat}' if repeat else ''}"
        key = answer_log.keyed(text, self._secret)
        return KeptFeedback(id=key, time=item.time or now, image=item.image, label=item.label, reader=reader)

    def _outcome(self, row: KeptFeedback) -> Outcome:
        if bytes.fromhex(row.image) not in self._answered:
            return "unknown image"
        return "known" if row.id in self._said else "kept"


class _Said:
    """What the log of feedback holds, in memory; some 300 bytes a row."""

    def __init__(self, folder: Path) -> None:
        self._log = FollowedLog(folder, list(COLUMNS), _kept)
        self._ids: set[bytes] = set()
        self._last: dict[tuple[bytes, str], tuple[datetime, str]] = {}  # of an image by a reader: when, and its label

    def __contains__(self, key: str) -> bool:
        return bytes.fromhex(key) in self._ids

    def update(self) -> None:
        for row in self._log.new_rows():
            self.note(row)

    def note(self, row: KeptFeedback) -> None:
        self._ids.add(bytes.fromhex(row.id))
        of = bytes.fromhex(row.image), row.reader
        if of not in self._last or self._last[of][0] <= row.time:
            self._last[of] = row.time, row.label

    def anew(self, row: KeptFeedback) -> KeptFeedback:
        """The row with an id of its own where its reader has said something else since he said the same."""
        _, last = self._last.get((bytes.fromhex(row.image), row.reader), (None, row.label))
        return row if last == row.label else row.model_copy(update={"id": uuid.uuid4().hex})


def _kept(*row: str) -> KeptFeedback:
    """A row of the log's columns; a ValueError if it is none."""
    found = KeptFeedback.model_validate(dict(zip(COLUMNS, row, strict=True)))
    bytes.fromhex(found.id + found.image)
    return found


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
