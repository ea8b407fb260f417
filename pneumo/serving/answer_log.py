"""Every answer that was given, kept for monitoring: no path, no name, images by a keyed hash.

Answers are appended to a file of lines for each day and writer, so that a kill costs at most the line that was being
written; days that are over become Parquet.
"""

import hashlib
import hmac
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, ValidationError

from pneumo.data.files import whole
from pneumo.errors import DataError
from pneumo.records.base import Record
from pneumo.serving.fresh_process.client import Answer
from pneumo.tracking import ModelVersion

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "answers"
OPEN_HOURS = 1  # after midnight UTC in which a writer may still finish a line of the day before
COLUMNS = {
    "id": "string",
    "time": "datetime64[us, UTC]",
    "image": "string",
    "model": "string",
    "version": "string",
    "probability": "float64",
    "label": "string",
    "out_of_distribution": "bool",
    "source": "string",
    "seconds": "float64",
}


class KeptAnswer(Record):
    """A line of the log, and a row of its tables."""

    id: str
    time: AwareDatetime
    image: str
    model: str
    version: str
    probability: float | None
    label: str | None
    out_of_distribution: bool
    source: str
    seconds: float


class AnswerLog:
    """Appends answers to the log of a state folder; one per process that answers."""

    def __init__(self, home: Path, secret: bytes, source: str) -> None:
        """`secret`: key of the images' hashes; `source`: who asked, such as "http"."""
        self._folder, self._secret, self._source = home / FOLDER, secret, source
        self._writer, self._turn = uuid.uuid4().hex[:8], threading.Lock()

    def add(self, version: ModelVersion, digests: Sequence[str], answers: Sequence[Answer], seconds: float) -> None:
        """Keep the answers to images of these sha256; `seconds`: of the whole request.

        An image that could not be read has neither probability nor label; why is not kept, since errors quote headers.

        Raises:
            OSError: the log cannot be written.
        """
        now = datetime.now(UTC)
        rows = [
            KeptAnswer(
                id=uuid.uuid4().hex,
                time=now,
                image=hmac.new(self._secret, digest.encode(), hashlib.sha256).hexdigest()[:32],
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
        self._append(now.date(), "".join(f"{row.model_dump_json()}\n" for row in rows))

    def _append(self, day: date, lines: str) -> None:
        """To a new file after a failure, which may have left half a line at the end of the one before."""
        with self._turn:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with (self._folder / f"{day}.{self._writer}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(lines)
            except OSError:
                self._writer = uuid.uuid4().hex[:8]
                raise


def read(home: Path, days: int) -> "tuple[pd.DataFrame, int]":
    """Answers of the last days, today's too, in the order of time, and how many lines of them cannot be read.

    Columns as in `COLUMNS`; `time` is UTC.

    Raises:
        DataError: the file of a day that was packed cannot be read.
    """
    import pandas as pd

    first = datetime.now(UTC).date() - timedelta(days=days - 1)
    tables, broken = [_table([])], 0
    for day in _days(home / FOLDER):
        if day >= first:
            table, lost = _day(home / FOLDER, day)
            tables, broken = [*tables, table], broken + lost
    whole_table = pd.concat(tables, ignore_index=True).astype(COLUMNS)
    return whole_table.sort_values("time", ignore_index=True), broken


def pack(home: Path) -> None:
    """Make Parquet of the days that are over; killed at any moment, it loses and doubles nothing.

    Raises:
        OSError: the log cannot be written.
        DataError: the file of a day that was packed before cannot be read.
    """
    over = (datetime.now(UTC) - timedelta(hours=OPEN_HOURS)).date()
    for day in _days(home / FOLDER):
        lines = list((home / FOLDER).glob(f"{day}.*.jsonl"))
        if day < over and lines:
            table, _ = _day(home / FOLDER, day)
            with whole(home / FOLDER / f"{day}.parquet") as scratch:
                table.to_parquet(scratch, index=False)
            for file in lines:
                file.unlink(missing_ok=True)


def _days(folder: Path) -> list[date]:
    """The days that there are answers of; a file of another name is somebody's own."""
    days = set()
    for path in folder.glob("????-??-??.*"):
        if path.suffix in (".jsonl", ".parquet") and path.is_file():
            with suppress(ValueError):
                days.add(date.fromisoformat(path.name[:10]))
    return sorted(days)


def _day(folder: Path, day: date) -> "tuple[pd.DataFrame, int]":
    """Answers of a day, each once: lines that were packed already may still be there."""
    import pandas as pd

    rows: list[KeptAnswer] = []
    broken = 0
    for file in sorted(folder.glob(f"{day}.*.jsonl")):
        found = list(_lines(file))
        rows += [row for row in found if row is not None]
        broken += found.count(None)
    tables = [_table(rows)]
    if (packed := folder / f"{day}.parquet").is_file():
        tables.insert(0, _packed(packed))
    return pd.concat(tables, ignore_index=True).drop_duplicates("id", ignore_index=True), broken


def _lines(file: Path) -> Iterator[KeptAnswer | None]:
    """What each line holds; None for one that a kill cut off. A file that another service packs now is gone."""
    with suppress(FileNotFoundError), file.open("rb") as lines:
        for line in lines:
            try:
                yield KeptAnswer.model_validate_json(line)
            except ValidationError:
                yield None


def _packed(file: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(file, columns=list(COLUMNS)).astype(COLUMNS)
    except (OSError, ValueError, TypeError) as error:  # pyarrow raises all of them
        raise DataError(
            f"Expected answers of a day in {file}, but it cannot be read ({type(error).__name__}): take it out."
        ) from None


def _table(rows: list[KeptAnswer]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame([row.model_dump() for row in rows], columns=list(COLUMNS))
    table["time"] = pd.to_datetime(table["time"], utc=True)
    return table.astype(COLUMNS)
