"""Fine-tuning: augmented batches, warm-up and cosine decay, averaged weights, a checkpoint per epoch."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pneumo.errors import TrainingError
from pneumo.evaluation.robustness.selection import Judge
from pneumo.training.augmentation import transforms
from pneumo.training.augmentation.artefacts import add_artefacts
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Images
from pneumo.training.process import checkpoint
from pneumo.training.process.progress import OnProgress, Progress

WARM_UP = 0.1  # of all steps
NOISE = 0.005  # of a score: an epoch that is worse by less is not worse, and the later average has seen more
TONES = 500  # training images whose tone curves are lent to others
EVERY = 2.0  # seconds between two events within an epoch


@dataclass
class State:
    """What grows from epoch to epoch: `score` is the best so far, `best` the latest values that are not worse than it.

    The head on frozen features is epoch 0: fine-tuning that makes it worse is not kept.
    """

    epoch: int = 0
    score: float = -math.inf
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: list[np.ndarray] = field(default_factory=list)


def fine_tune(
    spec: CandidateSpec, network: Any, images: Images, judge: Judge, file: Path, report: OnProgress
) -> list[dict[str, float]]:
    """Train a network in place and leave it with the weights of its last epoch that was not worse than another.

    Args:
        file: checkpoint; if it exists, training goes on from it and ends with the same weights.

    Returns:
        A row of figures per epoch.

    Raises:
        TrainingError: the loss became NaN or infinite.
    """
    positions = images.of("train")
    steps = max(len(positions) // spec.batch_size, 1)
    freeze(network, spec.freeze)
    trainer = _trainer(spec, network, steps)
    state = _restore(file, network, trainer.optimizer, judge)
    if state.epoch < spec.epochs and state.stale < spec.patience:
        end = _end_of_epoch(spec, network, judge, state, file, _Reporter(spec, steps, report))
        source = batches(spec, images, positions, state.epoch)
        trainer.fit(
            source,
            steps_per_epoch=steps,
            initial_epoch=state.epoch,
            epochs=spec.epochs,
            callbacks=[end],
            verbose=0,
        )
    checkpoint.assign(network.variables, state.best)
    return state.history


def freeze(network: Any, share: float) -> None:
    """Let only the last layers of the backbone learn; `share` of them, counted from the input, stay as they are."""
    layers = network.get_layer("backbone").layers
    for layer in layers[: round(share * len(layers))]:
        layer.trainable = False


def batches(spec: CandidateSpec, images: Images, positions: np.ndarray, epoch: int) -> Iterator[tuple[Any, Any, Any]]:
    """Endless batches from an epoch on: ((pixels, augmentation), targets, weights of the samples).

    Order and augmentation depend on (seed, epoch, step) only, so a resumed training sees what an unbroken one saw.
    """
    targets = images.targets(positions)
    share = np.array([np.mean(targets == 0), np.mean(targets == 1)])
    weights = (0.5 / share)[targets.astype(int)].astype("float32")
    size = min(spec.batch_size, len(positions))
    tones = transforms.ranks(images.pixels[positions[:: max(len(positions) // TONES, 1)]])
    while True:
        order = np.random.default_rng([spec.seed, epoch]).permutation(len(positions))
        for step in range(len(positions) // size):
            chosen = np.sort(order[step * size : (step + 1) * size])
            generator = np.random.default_rng([spec.seed, epoch, step])
            drawn = transforms.draw(generator, size, images.pixels.shape[1], spec.augmentation, spec.crop)
            pixels = transforms.retone(generator, images.pixels[positions[chosen]], spec.augmentation, tones)
            pixels = add_artefacts(generator, pixels, spec.augmentation)
            yield (pixels[..., None].astype("float32"), drawn), targets[chosen][:, None], weights[chosen]
        epoch += 1


def _trainer(spec: CandidateSpec, network: Any, steps: int) -> Any:
    """The network with augmentation before it, in one compiled graph, so it runs where the training runs."""
    import keras

    pixels, parameters = keras.Input(network.input_shape[1:]), keras.Input((transforms.COLUMNS,))
    # In full precision whatever that of the network: a coordinate of 160 pixels needs more than eight bits.
    changing = keras.layers.Lambda(lambda both: transforms.apply(*both), output_shape=pixels.shape[1:], dtype="float32")
    changed = changing([pixels, parameters])
    model = keras.Model([pixels, parameters], network(changed))
    total = max(spec.epochs * steps, 2)
    warm_up = max(round(WARM_UP * total), 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total - warm_up, warmup_target=spec.learning_rate, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.AdamW(
            rate, weight_decay=spec.weight_decay, use_ema=spec.average > 0, ema_momentum=spec.average
        ),
        keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=spec.label_smoothing),
        jit_compile=keras.backend.backend() == "jax",  # XLA of TensorFlow is 15 times slower on depthwise layers
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _restore(file: Path, network: Any, optimizer: Any, judge: Judge) -> State:
    stored = checkpoint.load(file)
    if stored is None:
        return State(score=judge.epoch(network)["score"], best=checkpoint.values(network.variables))
    arrays, state = stored
    checkpoint.assign(network.variables, arrays["network"])
    checkpoint.assign(optimizer.variables, arrays["optimizer"])
    return State(**state, best=arrays["best"])


def _end_of_epoch(
    spec: CandidateSpec, network: Any, judge: Judge, state: State, file: Path, reporter: "_Reporter"
) -> Any:
    import keras

    class EndOfEpoch(keras.callbacks.Callback):  # type: ignore[misc]
        """Score the averaged weights, keep the best, write a checkpoint, stop when nothing gets better."""

        def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
            reporter.step(state.epoch + 1, batch + 1, logs or {})

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            optimizer = self.model.optimizer  # reading self.model brings JAX's variables up to date
            learning = checkpoint.values(network.trainable_variables)
            loss = finite(spec, float((logs or {})["loss"]))
            optimizer.finalize_variable_values(network.trainable_variables)
            # Copies: JAX would share the averages' memory with the network, whose next prediction gives it away.
            checkpoint.assign(network.trainable_variables, checkpoint.values(network.trainable_variables))
            scores = judge.epoch(network)
            state.history.append({"epoch": epoch + 1, "loss": loss, **scores, "seconds": reporter.seconds()})
            state.epoch, state.stale = epoch + 1, state.stale + 1
            if scores["score"] > state.score - NOISE:
                state.best = checkpoint.values(network.variables)
            if scores["score"] > state.score:
                state.score, state.stale = scores["score"], 0
            checkpoint.assign(network.trainable_variables, learning)
            arrays = {"network": checkpoint.values(network.variables), "best": state.best}
            arrays["optimizer"] = checkpoint.values(optimizer.variables)
            plain = {"epoch": state.epoch, "score": state.score, "stale": state.stale, "history": state.history}
            checkpoint.save(file, arrays, plain)
            reporter.epoch(state.epoch, state.history[-1])
            self.model.stop_training = state.stale >= spec.patience

    return EndOfEpoch()


def finite(spec: CandidateSpec, loss: float) -> float:
    """The loss itself.

    Raises:
        TrainingError: it is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise TrainingError(
            f"Expected a finite loss of {spec.name}, got {loss}: lower the learning rate ({spec.learning_rate:g})."
        )
    return loss


class _Reporter:
    """Turns steps into events with rate and time left, a few seconds apart."""

    def __init__(self, spec: CandidateSpec, steps: int, report: OnProgress) -> None:
        self.spec, self.steps, self.report = spec, steps, report
        self.begun = self.told = time.monotonic()

    def step(self, epoch: int, step: int, logs: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self.told < EVERY:
            return
        self.told = now
        finite(self.spec, float(logs["loss"]))
        pace = (now - self.begun) / step
        left = pace * ((self.spec.epochs - epoch + 1) * self.steps - step)
        self.report(self._event(epoch, step, rate=self.spec.batch_size / pace, seconds_left=left))

    def epoch(self, epoch: int, metrics: dict[str, float]) -> None:
        self.begun = time.monotonic()
        self.report(self._event(epoch, self.steps, metrics=metrics))

    def seconds(self) -> float:
        return round(time.monotonic() - self.begun, 2)

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
