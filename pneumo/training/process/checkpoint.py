"""Checkpoints: all that a training needs to continue as if it had never stopped."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pneumo.errors import TrainingError

Arrays = dict[str, list[np.ndarray]]


def save(file: Path, arrays: Arrays, state: dict[str, Any]) -> None:
    """Write lists of arrays and a JSON state to a temporary file, then rename it: a kill leaves the old checkpoint.

    Raises:
        TrainingError: the disk refuses, for example because it is full; the old checkpoint stays.
    """
    named = {f"{group}/{index}": value for group, values in arrays.items() for index, value in enumerate(values)}
    scratch = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with scratch.open("wb") as stream:
            np.savez(stream, allow_pickle=False, state=np.array(json.dumps(state)), **named)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(scratch, file)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise TrainingError(f"Expected to write a checkpoint in {file}, but {error.strerror}: free space.") from error


def load(file: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """Read what `save` wrote; None if there is no checkpoint.

    Raises:
        TrainingError: the file is damaged; the message names it.
    """
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as stored:
            state = json.loads(str(stored["state"]))
            groups: Arrays = {}
            for name in stored.files:
                if "/" in name:
                    groups.setdefault(name.split("/")[0], []).append(stored[name])
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"Expected a checkpoint in {file}, found a damaged file ({error}): remove it.") from error
    return groups, state


def values(variables: list[Any]) -> list[np.ndarray]:
    """Copies of Keras variables as arrays."""
    from keras import ops

    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: list[Any], arrays: list[np.ndarray]) -> None:
    """Assign arrays to Keras variables in the same order."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
