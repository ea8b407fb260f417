"""Score with a registered model in a fresh process, as a user would, without what this process has in memory."""

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

from pydantic import AliasChoices, Field, ValidationError

from pneumo.errors import ModelError, TrackingError
from pneumo.records.base import ALONE, Cell, Record
from pneumo.tracking.client import Tracker
from pneumo.tracking.connection import SAFE
from pneumo.tracking.models.package import files_digest
from pneumo.tracking.models.registry import ModelVersion

PROGRAM = Path(__file__).with_name("program.py")
LIMIT_SECONDS = 1800  # for one answer
LAST = 19  # the niceness beside which a process of 0 gets 68 times as much of a busy core
# By name, never by pattern: a variable that begins with TF_ or NVIDIA_ may hold somebody's key.
PASSED = (
    "PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "KERAS_BACKEND", "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS", "TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_XLA_FLAGS", "XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE",
)  # fmt: skip


class Answer(Record):
    """A model's answer for one image; `probability` and `label` are None if it cannot be read."""

    probability: float | None
    label: str | None
    error: str | None
    # versions that an older pneumo registered, and tables that it began, have the second name
    out_of_distribution: bool = Field(validation_alias=AliasChoices("out_of_distribution", "unlike"))
    uncertain: bool | None = None  # None where it was not asked, or cannot be told

    def named(self, row: int, name: str) -> "Answer":
        """The same, whose error calls the image by a name that the reader knows, not by its row in what was asked."""
        said = self.error and self.error.replace(f"row {row}", name).replace(ALONE, name)
        return self.model_copy(update={"error": said})


class Answers(Record):
    """A registered model's answers; `from_model` says whether it ran its own code, not that of this installation."""

    rows: tuple[Answer, ...]
    example: tuple[float, ...]
    from_model: bool


class Served:
    """A registered model, loaded in a process of its own; `example` holds the probabilities of its input example.

    `input` is the column that it takes, image or embedding; `digest` is that of its files; `tells_uncertain` is whether
    it has the limits of conformal prediction.
    """

    def __init__(self, model_uri: str, process: "subprocess.Popen[str]", log: Path, digest: str) -> None:
        self.model_uri, self.digest = model_uri, digest
        self._process, self._log = process, log
        loaded = self._read()
        self.example: tuple[float, ...] = tuple(loaded["example"])
        self.from_model: bool = loaded["from_model"]
        self.input: str = loaded["input"]
        self.tells_uncertain: bool = loaded["uncertain"]

    def score(self, cells: Sequence[Cell], threshold: float | None = None, uncertain: bool = False) -> list[Answer]:
        """One answer for each cell; `threshold` replaces the model's own, `uncertain` asks a model that can tell.

        Raises:
            TrackingError: the model fails, or gives no answer for each cell; the message ends with its log's last line.
        """
        request = {
            "cells": [_sent(cell) for cell in cells],
            "threshold": threshold,
            "uncertain": uncertain and self.tells_uncertain,
        }
        assert self._process.stdin  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has died; reading its answer tells why
        rows = self._read()
        try:
            answers = [Answer.model_validate(row) for row in rows]
        except (TypeError, ValidationError):
            answers = []
        if len(answers) != len(cells):  # else an image would have another one's answer
            raise TrackingError(
                f"Expected {len(cells)} answers of {self.model_uri}, got {len(answers)}: name another version."
            )
        return answers

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
        try:
            return json.loads(line)
        except ValueError:
            raise TrackingError(f"Expected JSON of {self.model_uri}, got other text: name another version.") from None

    def _last_words(self) -> str:
        status = self._process.wait()
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with status {status}"


@contextmanager
def served(tracker: Tracker, model_uri: str, last: bool = False) -> Iterator[Served]:
    """Load "models:/name/version" in a process of its own during the block, after it was `verified`.

    Args:
        last: other processes of this machine go first.

    Raises:
        TrackingError: it is not as it was registered, or cannot be loaded; the message ends with the last log line.
    """
    with tracker.files.verified(model_uri) as folder, loaded(folder, model_uri, last) as model:
        yield model


@contextmanager
def loaded(model: Path, name: str, last: bool = False) -> Iterator[Served]:
    """Load a model from its folder in a process of its own, which runs the code in that folder.

    The process gets the folder, but no address, login or key of this process. Errors call the model `name`.
    """
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        log = Path(folder) / "log"
        # -P: the program's folder has files with the names of packages.
        command = [sys.executable, "-P", str(PROGRAM), str(model)]
        environment = _environment(folder)
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command, cwd=folder, env=environment, text=True, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        try:
            if last:  # before the process has threads, which inherit it
                os.setpriority(os.PRIO_PROCESS, process.pid, LAST)
            yield Served(name, process, log, files_digest(model))
        finally:
            process.kill()
            process.communicate()


def _environment(home: str) -> dict[str, str]:
    """Environment of a process that runs a model's code; packages below the user's home are still found."""
    own = {"HOME": home, "TMPDIR": home, "PYTHONUSERBASE": site.getuserbase()}
    return {name: os.environ[name] for name in PASSED if name in os.environ} | own | SAFE


def ask(tracker: Tracker, model_uri: str, cells: Sequence[Cell] = ()) -> Answers:
    """Score the input example and some images or embeddings once, in a fresh process.

    Raises:
        TrackingError: the model is not as it was registered, cannot be loaded, or fails.
    """
    with served(tracker, model_uri) as model:
        return Answers(rows=tuple(model.score(cells)), example=model.example, from_model=model.from_model)


def _sent(cell: Cell) -> dict[str, Any]:
    if isinstance(cell, list):
        return {"vector": cell}
    if isinstance(cell, Path):
        return {"path": str(cell.absolute())}
    return {"data": base64.b64encode(cell).decode()}


def cannot_tell(version: ModelVersion) -> str:
    """The sentence for a version that is asked what is uncertain and has no limits for that."""
    return (
        f"{version.name} version {version.version} cannot tell which images are uncertain, since it has no conformal"
        " limits; its answers are as always. Train anew, or set serve.uncertain to false."
    )


def needs_embeddings(version: ModelVersion) -> ModelError:
    """The error for images that are given to a version that takes embeddings."""
    return ModelError(
        f"Expected a model of images, but {version.name} version {version.version} takes embeddings made elsewhere, not"
        " images: give it those in Python (docs/how-to/embeddings.md), or name another version."
    )
