"""Write files complete or not at all, with a clear error where the disk refuses."""

import functools
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from pneumo.errors import DataError

P = ParamSpec("P")
Result = TypeVar("Result")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_bytes(data)
    os.replace(scratch, path)


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
