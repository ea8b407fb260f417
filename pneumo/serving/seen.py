"""The values that a column of a daily log has. They are kept in memory, and only new lines are read."""

import json
from pathlib import Path

from pneumo.serving.daily_log import read_packed


class Seen:
    """Values of a column of hexadecimal texts, in all days of a log; about 80 bytes each."""

    def __init__(self, folder: Path, column: str) -> None:
        self._folder, self._column = folder, column
        self._values: set[bytes] = set()
        self._read: dict[str, int] = {}  # how far each file of lines was read, and when each packed one was written

    def __contains__(self, value: str) -> bool:
        return bytes.fromhex(value) in self._values

    def update(self) -> "Seen":
        """Read what came since the last time.

        Raises:
            DataError: the file of a day that was packed cannot be read.
        """
        for file in sorted(self._folder.glob("????-??-??.*.jsonl")):
            self._lines(file)
        for file in sorted(self._folder.glob("????-??-??.parquet")):  # after the lines, which become such a file
            self._packed(file)
        return self

    def _lines(self, file: Path) -> None:
        """Whole lines; what is no row costs itself only, and half a line is read once the rest has come."""
        try:
            with file.open("rb") as lines:
                lines.seek(self._read.get(file.name, 0))
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    self._read[file.name] = self._read.get(file.name, 0) + len(line)
                    self._values |= _value(line, self._column)
        except FileNotFoundError:  # another process has packed it this moment
            return

    def _packed(self, file: Path) -> None:
        written = file.stat().st_mtime_ns
        if self._read.get(file.name) != written:
            column = read_packed(file, {self._column: "string"})[self._column].dropna()
            self._values.update(map(bytes.fromhex, column))
            self._read[file.name] = written


def _value(line: bytes, column: str) -> set[bytes]:
    try:
        return {bytes.fromhex(json.loads(line)[column])}
    except (ValueError, KeyError, TypeError):
        return set()
