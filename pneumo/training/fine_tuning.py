"""Fine-tuning: warm-up and cosine decay, an exponential moving average of weights, a checkpoint every epoch."""

from pathlib import Path
from typing import Any

from pneumo.evaluation.robustness.selection import Judge
from pneumo.training import batches
from pneumo.training.augmentation import transforms
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Images
from pneumo.training.process import checkpoint
from pneumo.training.process.progress import OnProgress
from pneumo.training.training_state import TrainingState

WARM_UP = 0.1  # of all steps


def fine_tune(
    spec: CandidateSpec, network: Any, images: Images, judge: Judge, file: Path, report: OnProgress
) -> list[dict[str, float]]:
    """Train a network in place and leave it with its best weights; of equally good epochs the last one counts.

    Args:
        file: checkpoint; if it exists, training continues from it and ends with the same weights.

    Returns:
        A row of figures for each epoch.

    Raises:
        TrainingError: the loss became NaN or infinite.
    """
    from pneumo.training import callbacks  # imports Keras

    positions = images.of("train")
    steps = max(len(positions) // spec.batch_size, 1)
    trainer = _trainer(spec, network, steps, tuple(batches.targets(spec, images, positions)))
    state = TrainingState.restored(file, network, trainer, judge)
    if state.epoch < spec.epochs and state.stale < spec.patience:
        trainer.fit(
            batches.augmented_batches(spec, images, positions, state.epoch),
            steps_per_epoch=steps,
            initial_epoch=state.epoch,
            epochs=spec.epochs,
            callbacks=[
                callbacks.RequireFiniteLoss(spec),
                callbacks.ScoreAverage(network, judge, state),
                callbacks.WriteCheckpoint(state, file),
                callbacks.Report(spec, steps, state, report),
                callbacks.StopWhenStale(spec.patience, state),
            ],
            verbose=0,
        )
    checkpoint.assign(network.variables, state.best)
    return state.history


def _trainer(spec: CandidateSpec, network: Any, steps: int, heads: tuple[str, ...]) -> Any:
    """The network behind augmentation, in one compiled graph, so that both run on the same device.

    Args:
        heads: names of the targets (`batches.targets`).
    """
    import keras

    pixels, parameters = keras.Input(network.input_shape[1:]), keras.Input((transforms.COLUMNS,))
    # In full precision, whatever the network's: bfloat16 has eight bits, and a coordinate in 160 pixels needs more.
    changing = keras.layers.Lambda(lambda both: transforms.apply(*both), output_shape=pixels.shape[1:], dtype="float32")
    changed = changing([pixels, parameters])
    model = keras.Model([pixels, parameters], _with_heads(network, heads)(changed))
    total = max(spec.epochs * steps, 2)
    warm_up = max(round(WARM_UP * total), 1)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, total - warm_up, warmup_target=spec.learning_rate, warmup_steps=warm_up
    )
    model.compile(
        keras.optimizers.AdamW(
            rate, weight_decay=spec.weight_decay, use_ema=spec.ema_decay > 0, ema_momentum=spec.ema_decay
        ),
        dict.fromkeys(heads, keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=spec.label_smoothing)),
        loss_weights={name: spec.subtype_weight if name == batches.VIRAL else 1.0 for name in heads},
        jit_compile=keras.backend.backend() == "jax",  # XLA of TensorFlow is 15 times slower on depthwise layers
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _with_heads(network: Any, heads: tuple[str, ...]) -> Any:
    """The network with its logit, and a logit for each other head on the same features, by name."""
    import keras

    logits = {batches.ILL: network.output}
    for name in heads:
        if name not in logits:
            logits[name] = keras.layers.Dense(1, dtype="float32", name=name)(network.get_layer("pool").output)
    return keras.Model(network.input, logits)
