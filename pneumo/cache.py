"""The cache of finished stages: keys of all that a result depends on, and folders that are complete or absent."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

# Libraries with which a part of this package computes: another version may give another result.
DECODERS = ("pillow", "pydicom", "python-gdcm")  # of pydicom's plug-ins: see pneumo/data/dicom/frames.py
LIBRARIES = {
    "data": ("numpy", "pandas", "scikit-learn", "scipy", *DECODERS),
    "training": ("keras", "numpy", "scikit-learn"),
    "evaluation": ("keras", "numpy", "scikit-learn", "scipy"),
    "registry": ("keras", "numpy", "scikit-learn", "scipy", *DECODERS),
    "serving": ("keras", "numpy", "scipy", *DECODERS),
}
BACKENDS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
    "openvino": ("openvino",),
}
_made: ContextVar[list[Path] | None] = ContextVar("made", default=None)


def stage_key(stage: str, **inputs: Any) -> str:
    """Key of a stage's result: a digest of its inputs' keys, the settings it reads and its code version.

    Args:
        stage: name of the stage.
        inputs: JSON values, paths or records; by convention `code=code_version(...)` is among them.
    """
    text = json.dumps({"stage": stage, **inputs}, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a stage key takes JSON values, paths and records, not {type(value).__name__}")


def code_version(*parts: str) -> str:
    """Digest of the source of parts of this package, such as "data" or "training/fine_tuning.py", and of its libraries.

    These are the versions of the libraries with which the parts compute and, if Keras is among them, its backend.
    """
    folders = {part.split("/")[0] for part in parts}
    libraries = {name for folder in folders for name in LIBRARIES.get(folder, ())}
    if "keras" in libraries:
        libraries.update(BACKENDS.get(backend(), (backend(),)))
    versions = " ".join(f"{name}=={_installed(name)}" for name in sorted(libraries))
    return hashlib.sha256(f"{_source(tuple(sorted(parts)))} {versions}".encode()).hexdigest()[:16]


def backend() -> str:
    """Name of Keras's backend, from KERAS_BACKEND, else from Keras's own file, without importing Keras."""
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return str(json.loads(file.read_bytes()).get("backend", "tensorflow"))
    except (OSError, ValueError):  # Keras ignores such a file, too
        return "tensorflow"


@cache
def _source(parts: tuple[str, ...]) -> str:
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for part in parts:
        target = here / part
        for file in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
            digest.update(file.relative_to(here).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@cache
def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def is_kept(place: Path) -> bool:
    """Whether a finished result is here; if so, it is marked as used now, which house-keeping checks."""
    if not place.exists():
        return False
    os.utime(place)
    return True


@contextmanager
def watching() -> Iterator[list[Path]]:
    """The folders that are made while the block runs; if none, the stage found its result finished."""
    made: list[Path] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def tell_made(folder: Path) -> None:
    """Tell `watching` of a folder that another process made for this one."""
    made = _made.get()
    if made is not None:
        made.append(folder)


@contextmanager
def written_once(folder: Path) -> Iterator[Path]:
    """A scratch folder that is renamed to `folder` when the block ends without an error, or else removed.

    So whatever exists under its final name is complete. If another process finishes first, its result stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    scratch.mkdir()
    tell_made(folder)
    try:
        yield scratch
        try:
            os.rename(scratch, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
