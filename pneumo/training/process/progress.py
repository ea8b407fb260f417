"""Progress of a training: events that a child process writes and its parent reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from pneumo.records.base import Record

Stage = Literal["start", "features", "tuning", "scoring", "done"]


class Progress(Record):
    """One event: how far a training is. `metrics` is filled at the end of an epoch and of the training.

    `rate` is in images per second, `seconds_left` estimates this stage.
    """

    name: str
    stage: Stage
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    rate: float | None = None
    seconds_left: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Report nothing."""


def write_to(file: Path) -> OnProgress:
    """Append events to a file, one JSON line each."""

    def report(event: Progress) -> None:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(event.model_dump_json() + "\n")

    return report


class Follower:
    """Reads the events that were appended since its last call."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.offset = 0

    def new(self) -> list[Progress]:
        """Complete lines since the last call."""
        if not self.file.is_file():
            return []
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            text = stream.read()
        complete = text[: text.rfind(b"\n") + 1]
        self.offset += len(complete)
        return [Progress.model_validate_json(line) for line in complete.splitlines()]


def describe(event: Progress) -> str:
    """An event as text: tuning 2/4, 31 images/s, 95 s left, validation_auc 0.994."""
    parts = [f"tuning {event.epoch}/{event.epochs}" if event.stage == "tuning" else event.stage]
    parts += [f"{event.rate:.0f} images/s"] if event.rate else []
    parts += [f"{event.seconds_left:.0f} s left"] if event.seconds_left is not None else []
    parts += [f"{name} {value:.4f}" for name, value in event.metrics.items() if name.endswith("auc")]
    return ", ".join(parts)
