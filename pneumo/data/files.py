"""Files: their digest, written complete or not at all, and a clear error where the disk refuses."""

import functools
import hashlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from pneumo.errors import DataError

P = ParamSpec("P")
Result = TypeVar("Result")


def sha256_of(path: Path) -> str:
    """Digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file next to its place and rename it there; of several writers at once one is the last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as scratch:
        scratch.write_bytes(data)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file of this writer's own beside a place, renamed there when the block ends well; else it is removed."""
    scratch = path.with_name(f".{uuid.uuid4().hex[:8]}.part")  # a long name would become too long by what is added
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def tells_disk_errors(stage: Callable[P, Result]) -> Callable[P, Result]:
    """Turn a stage's failures to write (disk full, no rights, not a folder) into DataErrors.

    Failures to read the user's files become DataErrors where they are read.
    """

    @functools.wraps(stage)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return stage(*args, **kwargs)
        except (OSError, sqlite3.OperationalError) as error:
            place = f" at {error.filename}" if isinstance(error, OSError) and error.filename else ""
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise DataError(
                f"Expected to write in the state folder, but the disk refuses{place} ({reason}):"
                " free space, check rights, or move the state folder with PNEUMO_HOME."
            ) from error

    return wrapped
