"""How far a training is: events that a child process writes and its parent follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pneumo.stages import Record

Stage = Literal["start", "features", "tuning", "scoring", "done"]


class Progress(Record):
    """One event: where a training is. `metrics` is filled at the end of an epoch, and of the training.

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
    """Reads the events that were appended since it last looked."""

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


class Bars:
    """A live bar per backbone in the terminal, with rate and time left; use as a context and as a callback."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Display

        self.display = Display(TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> "Bars":
        self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.display.stop()

    def __call__(self, event: Progress) -> None:
        """Show an event."""
        if event.name not in self.tasks:
            self.tasks[event.name] = self.display.add_task(event.name, note="", total=None)
        self.display.update(
            self.tasks[event.name],
            total=max(event.epochs * event.steps, 1),
            completed=max(event.epoch - 1, 0) * event.steps + event.step if event.stage != "done" else None,
            note=describe(event),
        )


def describe(event: Progress) -> str:
    """An event in words: tuning 2/4, 31 images/s, 95 s left, validation_auc 0.994."""
    parts = [f"{event.stage} {event.epoch}/{event.epochs}" if event.epochs else event.stage]
    parts += [f"{event.rate:.0f} images/s"] if event.rate else []
    parts += [f"{event.seconds_left:.0f} s left"] if event.seconds_left is not None else []
    parts += [f"{name} {value:.4f}" for name, value in event.metrics.items() if name.endswith("auc")]
    return ", ".join(parts)
