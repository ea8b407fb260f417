"""A log of rows that survives kills: lines of JSON for each day and writer; days that are over become Parquet.

A kill costs at most the line that was being written. A row is known by its id: what was written twice counts once.
"""

import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, ValidationError

from pneumo.data.files import whole
from pneumo.errors import DataError
from pneumo.records.base import Record

if TYPE_CHECKING:
    import pandas as pd

OPEN_HOURS = 1  # after midnight UTC in which a writer may still finish a line of the day before
CHUNK = 20_000  # lines that are held as records at once: these take ten times the memory of a table
TIME = "datetime64[us, UTC]"


class LoggedRow(Record):
    """A row of a log; `time` is UTC in tables."""

    id: str
    time: AwareDatetime


class DailyLog:
    """The log in a folder; what is written comes from one writer, this object."""

    def __init__(self, folder: Path, kind: type[LoggedRow], columns: Mapping[str, str], sync: bool = False) -> None:
        """`columns`: pandas dtypes of the fields of `kind`; `sync`: rows are on the disk when `append` returns."""
        self.folder, self._kind, self._columns, self._sync = folder, kind, dict(columns), sync
        self._writer, self._turn = uuid.uuid4().hex[:8], threading.Lock()

    def append(self, rows: Sequence[LoggedRow]) -> None:
        """Write rows to the file of today; after a failure, which may have left half a line, to a new one.

        Raises:
            OSError: the log cannot be written.
        """
        lines = "".join(f"{row.model_dump_json()}\n" for row in rows)
        with self._turn:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                name = f"{datetime.now(UTC).date()}.{self._writer}.jsonl"
                with (self.folder / name).open("a", encoding="utf-8") as file:
                    file.write(lines)
                    if self._sync:
                        file.flush()
                        os.fsync(file.fileno())
            except OSError:
                self._writer = uuid.uuid4().hex[:8]
                raise

    def read(self) -> "tuple[pd.DataFrame, int]":
        """All rows by time, and how many lines cannot be read.

        Raises:
            DataError: the file of a day that was packed cannot be read.
        """
        import pandas as pd

        tables, broken = [self._table([])], 0
        for day in self._days():
            table, lost = self._day(day)
            tables, broken = [*tables, table], broken + lost
        return _unique(pd.concat(tables, ignore_index=True).astype(self._columns)), broken

    def pack(self) -> None:
        """Make Parquet of the days that are over; killed at any moment, it loses and doubles nothing.

        Raises:
            OSError: the log cannot be written.
            DataError: the file of a day that was packed before cannot be read.
        """
        over = (datetime.now(UTC) - timedelta(hours=OPEN_HOURS)).date()
        for day in self._days():
            lines = list(self.folder.glob(f"{day}.*.jsonl"))
            if day < over and lines:
                table, _ = self._day(day)
                with whole(self.folder / f"{day}.parquet") as scratch:
                    table.to_parquet(scratch, index=False)
                for file in lines:
                    file.unlink(missing_ok=True)

    def _days(self) -> list[date]:
        """The days that there are rows of; a file of another name is somebody's own."""
        days = set()
        for path in self.folder.glob("????-??-??.*"):
            if path.suffix in (".jsonl", ".parquet") and path.is_file():
                with suppress(ValueError):
                    days.add(date.fromisoformat(path.name[:10]))
        return sorted(days)

    def _day(self, day: date) -> "tuple[pd.DataFrame, int]":
        """Rows of a day, each once: lines that were packed already may still be there."""
        import pandas as pd

        tables, broken = [self._table([])], 0
        for file in sorted(self.folder.glob(f"{day}.*.jsonl")):
            rows = self._lines(file)
            while chunk := list(islice(rows, CHUNK)):
                tables.append(self._table([row for row in chunk if row is not None]))
                broken += chunk.count(None)
        if (packed := self.folder / f"{day}.parquet").is_file():
            tables.insert(0, read_packed(packed, self._columns))
        return _unique(pd.concat(tables, ignore_index=True)), broken

    def _lines(self, file: Path) -> Iterator[LoggedRow | None]:
        """What each line holds; None for one that a kill cut off. A file that another process packs now is gone."""
        with suppress(FileNotFoundError), file.open("rb") as lines:
            for line in lines:
                try:
                    yield self._kind.model_validate_json(line)
                except ValidationError:
                    yield None

    def _table(self, rows: Sequence[LoggedRow]) -> "pd.DataFrame":
        import pandas as pd

        table = pd.DataFrame([row.model_dump() for row in rows], columns=list(self._columns))
        table["time"] = pd.to_datetime(table["time"], utc=True)
        return table.astype(self._columns)


def read_packed(file: Path, columns: Mapping[str, str]) -> "pd.DataFrame":
    """Columns of a day that was packed, by their dtypes.

    Raises:
        DataError: the file cannot be read.
    """
    import pandas as pd

    try:
        return pd.read_parquet(file, columns=list(columns)).astype(dict(columns))
    except (OSError, ValueError, TypeError) as error:  # pyarrow raises all of them
        raise DataError(
            f"Expected {file.parent.name} of a day in {file}, but it cannot be read ({type(error).__name__}): "
            "take it out."
        ) from None


def _unique(table: "pd.DataFrame") -> "pd.DataFrame":
    """Rows by time, each id once; if a row was written again after a kill, the later one is kept."""
    return table.sort_values("time", kind="stable").drop_duplicates("id", keep="last", ignore_index=True)
