"""Measurements of files, kept by path, size and time of change: an unchanged file is not read again."""

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pneumo.data.image_statistics import Row


@dataclass(frozen=True)
class Stamp:
    """Identity of a file's content without reading it.

    `changed_ns` is when the system last saw it change (ctime). The time of change that a file shows is anybody's to
    set: archives, copies and de-identifying tools restore it, and DICOM files of one camera are of one size.
    """

    path: str
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of a file now; size -1 where the file is missing or cannot be reached."""
        try:
            status = os.stat(path)
        except OSError:
            return cls(str(path), -1, 0)
        return cls(str(path), status.st_size, status.st_ctime_ns)


class FileCache:
    """Measurements in a SQLite file; a row is used only if the file's stamp and the code are the same as then."""

    def __init__(self, path: Path, code: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._code = path, code
        with closing(self._open()) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size, mtime, code, row)")

    def get(self, stamps: Iterable[Stamp]) -> dict[str, Row]:
        """Known measurements by path."""
        query = "SELECT row FROM files WHERE path = ? AND size = ? AND mtime = ? AND code = ?"
        found: dict[str, Row] = {}
        with closing(self._open()) as connection:
            for stamp in stamps:
                hit = connection.execute(query, (stamp.path, stamp.size, stamp.changed_ns, self._code)).fetchone()
                if hit:
                    found[stamp.path] = json.loads(hit[0])
        return found

    def put(self, rows: Mapping[Stamp, Row]) -> None:
        """Keep all of the measurements or none. One with an error is not kept, since the next try may succeed."""
        good = [(stamp, row) for stamp, row in rows.items() if not row.get("error")]
        values = [(stamp.path, stamp.size, stamp.changed_ns, self._code, json.dumps(row)) for stamp, row in good]
        with closing(self._open()) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)
