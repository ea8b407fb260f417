"""Score with a registered model in a fresh process: what a user will get, not what this process has in memory."""

import base64
import json
import os
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pneumo.errors import ModelError, TrackingError
from pneumo.records.base import Cell, Record
from pneumo.tracking.client import Tracker
from pneumo.tracking.connection import SAFE
from pneumo.tracking.models import ModelVersion
from pneumo.tracking.package import files_digest

PROGRAM = Path(__file__).with_name("program.py")
LIMIT_SECONDS = 1800  # of one answer
# By name, never by pattern: what begins with TF_ or NVIDIA_ may be a key of somebody.
PASSED = (
    "PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "KERAS_BACKEND", "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_XLA_FLAGS", "XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE",
)  # fmt: skip


class Answer(Record):
    """What a model says of one image; `probability` and `label` are None for one that cannot be read."""

    probability: float | None
    label: str | None
    error: str | None
    unlike: bool


class Answers(Record):
    """What a registered model said; `from_model`: it ran the code kept with it, not that of this installation."""

    rows: tuple[Answer, ...]
    example: tuple[float, ...]
    from_model: bool


class Served:
    """A loaded registered model in a process of its own; `example`: probabilities of its input example.

    `input` is the column that it takes: image, or embedding; `digest` is of its files.
    """

    def __init__(self, model_uri: str, process: "subprocess.Popen[str]", log: Path, digest: str) -> None:
        self.model_uri, self.digest = model_uri, digest
        self._process, self._log = process, log
        loaded = self._read()
        self.example: tuple[float, ...] = tuple(loaded["example"])
        self.from_model: bool = loaded["from_model"]
        self.input: str = loaded["input"]

    def score(self, cells: Sequence[Cell], threshold: float | None = None) -> list[Answer]:
        """One answer per cell; labels at another threshold than the model's own if one is given.

        Raises:
            TrackingError: the model fails; the message ends with its last words.
        """
        request = {"cells": [_sent(cell) for cell in cells], "threshold": threshold}
        assert self._process.stdin  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died: reading its answer tells why
        return [Answer.model_validate(row) for row in self._read()]

    def _read(self) -> Any:
        assert self._process.stdout  # noqa: S101 - a pipe was asked for
        watch = threading.Timer(LIMIT_SECONDS, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line.endswith("\n"):
            raise TrackingError(f"{self.model_uri} cannot be used in a fresh process: {self._last_words()}")
        return json.loads(line)

    def _last_words(self) -> str:
        status = self._process.wait()
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {status}"


@contextmanager
def served(tracker: Tracker, model_uri: str) -> Iterator[Served]:
    """Load "models:/name/version" in a process of its own for the time of the block, once it is `verified`.

    Raises:
        TrackingError: it is not what was registered or cannot be loaded; the message ends with the process's last line.
    """
    with tracker.files.verified(model_uri) as folder, loaded(folder, model_uri) as model:
        yield model


@contextmanager
def loaded(model: Path, name: str) -> Iterator[Served]:
    """Load a model from its folder in a process of its own, which runs the code that came with the model.

    The process is given that folder, and no address, login or key of this one. Errors call it by `name`.
    """
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        log = Path(folder) / "log"
        # -P: the program's own folder holds files named like packages.
        command = [sys.executable, "-P", str(PROGRAM), str(model)]
        environment = environment_without_secrets(folder)
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command, cwd=folder, env=environment, text=True, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        try:
            yield Served(name, process, log, files_digest(model))
        finally:
            process.kill()
            process.communicate()


def environment_without_secrets(home: str) -> dict[str, str]:
    """What a process may know that runs a model's code; packages below the user's own home are found all the same."""
    own = {"HOME": home, "TMPDIR": home, "PYTHONUSERBASE": site.getuserbase()}
    return {name: os.environ[name] for name in PASSED if name in os.environ} | own | SAFE


def ask(tracker: Tracker, model_uri: str, cells: Sequence[Cell] = ()) -> Answers:
    """Score the input example and some images or embeddings once, in a fresh process.

    Raises:
        TrackingError: the model is not what was registered, cannot be loaded or fails.
    """
    with served(tracker, model_uri) as model:
        return Answers(rows=tuple(model.score(cells)), example=model.example, from_model=model.from_model)


def _sent(cell: Cell) -> dict[str, Any]:
    if isinstance(cell, list):
        return {"vector": cell}
    if isinstance(cell, Path):
        return {"path": str(cell.absolute())}
    return {"data": base64.b64encode(cell).decode()}


def needs_embeddings(version: ModelVersion) -> ModelError:
    """The error of whoever has images for a version that takes embeddings."""
    return ModelError(
        f"Expected a model of images, but {version.name} version {version.version} takes embeddings made elsewhere, not"
        " images: give it those in Python (docs/how-to/embeddings.md), or name another version."
    )
