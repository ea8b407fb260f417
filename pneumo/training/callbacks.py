"""What happens between the steps and epochs of a fine-tuning, as Keras callbacks; they run in the order of their list.

Keras's EarlyStopping and SwapEMAWeights lose what they know when a training is resumed, and ModelCheckpoint does not
write whole files; so the state and the checkpoint are our own.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from pneumo.errors import TrainingError
from pneumo.evaluation.robustness.selection import Judge
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.process import checkpoint
from pneumo.training.process.progress import OnProgress, Progress
from pneumo.training.training_state import TrainingState

REPORT_SECONDS = 2.0  # between two reports within an epoch
CHECK_STEPS = 20  # between two looks at the loss
Logs = dict[str, Any] | None


class RequireFiniteLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training whose loss became NaN or infinite, with the remedy (Keras's TerminateOnNaN only stops)."""

    def __init__(self, spec: CandidateSpec) -> None:
        super().__init__()
        self.spec = spec

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the mean loss so far; not at every step, since reading it waits for the step to end."""
        if batch % CHECK_STEPS == 0:
            self._check(logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Check the epoch's mean loss."""
        self._check(logs)

    def _check(self, logs: Logs) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"Expected a finite loss of {self.spec.name}, got {loss}: lower the learning rate"
                f" ({self.spec.learning_rate:g})."
            )


class ScoreAverage(keras.callbacks.Callback):  # type: ignore[misc]
    """Scores the moving average of the weights after every epoch and keeps the best."""

    def __init__(self, network: Any, judge: Judge, state: TrainingState) -> None:
        super().__init__()
        self.network, self.judge, self.state = network, judge, state

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock."""
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Score and note."""
        optimizer = self.model.optimizer  # reading self.model brings JAX's variables up to date
        with _averaged(optimizer, self.network):
            scores = self.judge.epoch(self.network)
            seconds = round(time.monotonic() - self.begun, 2)
            row = {"epoch": epoch + 1, "loss": float((logs or {})["loss"]), **scores, "seconds": seconds}
            self.state.add(row, self.network)


@contextmanager
def _averaged(optimizer: Any, network: Any) -> Iterator[None]:
    """The network with the averages of its weights for the time of the block."""
    learning = checkpoint.values(network.trainable_variables)
    optimizer.finalize_variable_values(network.trainable_variables)
    # Copies: JAX would share the averages' memory with the network, whose next prediction gives it away.
    checkpoint.assign(network.trainable_variables, checkpoint.values(network.trainable_variables))
    yield
    checkpoint.assign(network.trainable_variables, learning)


class WriteCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a checkpoint after every epoch."""

    def __init__(self, network: Any, state: TrainingState, file: Path) -> None:
        super().__init__()
        self.network, self.state, self.file = network, state, file

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write it."""
        self.state.save(self.file, self.network, self.model.optimizer)


class StopWhenStale(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training when nothing has got better for so many epochs."""

    def __init__(self, patience: int, state: TrainingState) -> None:
        super().__init__()
        self.patience, self.state = patience, state

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop, or go on."""
        self.model.stop_training = self.state.stale >= self.patience


class Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Turns steps into events with rate and time left, a few seconds apart, and epochs into events with figures."""

    def __init__(self, spec: CandidateSpec, steps: int, state: TrainingState, report: OnProgress) -> None:
        super().__init__()
        self.spec, self.steps, self.state, self.report = spec, steps, state, report

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock."""
        self.begun = self.first = self.last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Report a step, if the last report is some seconds ago."""
        now, step = time.monotonic(), batch + 1
        self.pace = (now - self.first) / (batch or 1)
        if not batch:
            self.first = now  # the first step of a training holds its compilation
        if not batch or now - self.last < REPORT_SECONDS:
            return
        self.last = now
        left = self.pace * ((self.spec.epochs - self.state.epoch) * self.steps - step)
        self.report(self._event(self.state.epoch + 1, step, rate=self.spec.batch_size / self.pace, seconds_left=left))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Report the epoch's figures; the time that is left counts scoring, too."""
        left = (time.monotonic() - self.begun) * (self.spec.epochs - self.state.epoch)
        rate, row = self.spec.batch_size / self.pace, self.state.history[-1]
        self.report(self._event(self.state.epoch, self.steps, rate=rate, seconds_left=left, metrics=row))

    def _event(self, epoch: int, step: int, **more: Any) -> Progress:
        return Progress(
            name=self.spec.name,
            stage="tuning",
            epoch=epoch,
            epochs=self.spec.epochs,
            step=step,
            steps=self.steps,
            **more,
        )
