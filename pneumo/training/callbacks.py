"""Keras callbacks of fine-tuning: what happens between steps and epochs; they run in the order of their list.

State and checkpoint are our own, because Keras's EarlyStopping and SwapEMAWeights forget their state when a training is
resumed, and a kill can leave half a file of ModelCheckpoint.
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

REPORT_SECONDS = 2.0  # seconds between two reports within an epoch
CHECK_STEPS = 20  # steps between two checks of the loss
Logs = dict[str, Any] | None


class RequireFiniteLoss(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises an error that says what to do when the loss is NaN or infinite (Keras's TerminateOnNaN only stops)."""

    def __init__(self, spec: CandidateSpec) -> None:
        super().__init__()
        self.spec = spec

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Check the mean loss so far, but not at every step, since reading it waits for the step to end."""
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
    """Scores the moving average of the weights after every epoch and keeps the best weights."""

    def __init__(self, network: Any, judge: Judge, state: TrainingState) -> None:
        super().__init__()
        self.network, self.judge, self.state = network, judge, state

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock."""
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Score the average and keep it if it is not worse than the best."""
        with _averaged(self.model):  # reading self.model updates JAX's variables
            scores = self.judge.epoch(self.network)
            seconds = round(time.monotonic() - self.begun, 2)
            row = {"epoch": epoch + 1, "loss": float((logs or {})["loss"]), **scores, "seconds": seconds}
            self.state.add(row, self.network)


@contextmanager
def _averaged(model: Any) -> Iterator[None]:
    """Give a model in training, and so the network in it, the averages of its weights while the block runs."""
    learning = checkpoint.values(model.trainable_variables)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    # Copies: JAX would share the averages' memory with the model, whose next prediction donates it.
    checkpoint.assign(model.trainable_variables, checkpoint.values(model.trainable_variables))
    yield
    checkpoint.assign(model.trainable_variables, learning)


class WriteCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a checkpoint after every epoch."""

    def __init__(self, state: TrainingState, file: Path) -> None:
        super().__init__()
        self.state, self.file = state, file

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the checkpoint."""
        self.state.save(self.file, self.model)


class StopWhenStale(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training when the score has not improved for `patience` epochs."""

    def __init__(self, patience: int, state: TrainingState) -> None:
        super().__init__()
        self.patience, self.state = patience, state

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Stop if the patience is used up."""
        self.model.stop_training = self.state.stale >= self.patience


class Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports steps as events with rate and time left, some seconds apart, and epochs as events with their figures."""

    def __init__(self, spec: CandidateSpec, steps: int, state: TrainingState, report: OnProgress) -> None:
        super().__init__()
        self.spec, self.steps, self.state, self.report = spec, steps, state, report

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Start the clock."""
        self.begun = self.first = self.last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Report a step if the last report was some seconds ago."""
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
