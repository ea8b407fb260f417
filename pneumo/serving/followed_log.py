"""A daily log that another process may be writing: only what came since the last time is read."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pneumo.serving.daily_log import read_packed

Value = TypeVar("Value")


class FollowedLog(Generic[Value]):
    """Columns of text of all days of a log."""

    def __init__(self, folder: Path, columns: Sequence[str], value: Callable[..., Value]) -> None:
        """`value`: what is made of a row's columns; a ValueError says that it is no row."""
        self._folder, self._columns, self._value = folder, list(columns), value
        self._read: dict[str, int] = {}  # how far each file of lines was read, and when each packed one was written

    def new_rows(self) -> Iterator[Value]:
        """The value of each row that came since the last time; a day that was packed gives its rows again.

        Raises:
            DataError: the file of a day that was packed cannot be read.
        """
        for file in sorted(self._folder.glob("????-??-??.*.jsonl")):
            yield from self._lines(file)
        for file in sorted(self._folder.glob("????-??-??.parquet")):  # after the lines, which become such a file
            yield from self._packed(file)

    def _lines(self, file: Path) -> Iterator[Value]:
        """Whole lines; what is no row costs itself only, and half a line is read once the rest has come."""
        try:
            with file.open("rb") as lines:
                lines.seek(self._read.get(file.name, 0))
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._read[file.name] = self._read.get(file.name, 0) + len(line)
                    if (row := self._row(line)) is not None:
                        yield row
        except FileNotFoundError:  # another process has packed it this moment
            return

    def _packed(self, file: Path) -> Iterator[Value]:
        written = file.stat().st_mtime_ns
        if self._read.get(file.name) != written:
            table = read_packed(file, dict.fromkeys(self._columns, "string")).dropna()
            yield from (self._value(*row) for row in table.itertuples(index=False, name=None))
            self._read[file.name] = written

    def _row(self, line: bytes) -> Value | None:
        try:
            row = json.loads(line)
            return self._value(*(str(row[name]) for name in self._columns))
        except (ValueError, KeyError, TypeError):
            return None
