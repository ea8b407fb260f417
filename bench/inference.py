"""The same network by four runtimes: what one image and a batch of 64 take, and how far probabilities differ.

Each answers in full: file to gray square, logit, embedding and maps, probability, out-of-distribution. The bundle is
that of PNEUMO_BENCH_BUNDLE (a candidate's in <home>/cache/evaluate/<key>/bundle), else MobileNetV2 1.0 at 224 pixels
with random weights; the pictures are those of bench/serving.py. Runtimes take turns, so that other work on the machine
slows all of them.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.serving import Row, draw, log_model

if TYPE_CHECKING:
    import keras

    from pneumo.serving.bundle.image_bundle import Bundle

BATCH, ROUNDS = 64, 9
Floats = NDArray[np.float32]
Run = Callable[[Floats], list[Any]]  # pixels (n, size, size, 1) -> logit (n, 1), embedding (n, d), maps (n, h, w)


def rows() -> list[Row]:
    """Two rows per runtime and one of decoding alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [Path(path) for path in draw(folder / "images")[:BATCH]]
        bundle = _bundle(folder)
        bundle._network.trainable = False  # see _write_onnx of pneumo/serving/export.py
        runs = {label: make(bundle._network, folder) for label, make in RUNTIMES.items()}
        return [row for cells in (files[:1], files) for row in _compared(bundle, runs, cells)]


def _bundle(folder: Path) -> "Bundle":
    from pneumo.serving.bundle.image_bundle import Bundle, load_bundle

    given = os.environ.get("PNEUMO_BENCH_BUNDLE")
    found = load_bundle(Path(given) if given else next(log_model(folder).rglob("serving.json")).parent)
    assert isinstance(found, Bundle), "expected a bundle of images"
    return found


def _compared(bundle: "Bundle", runs: dict[str, Run], cells: list[Path]) -> list[Row]:
    """Medians over rounds in which all runtimes take turns, after a round that is not counted."""
    spec = bundle.spec
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ("decode alone", *runs)}
    answers: dict[str, Floats] = {}
    for _ in range(ROUNDS + 1):
        for name, times in taken.items():
            begun, used = time.perf_counter(), time.process_time()
            pixels = _decoded(cells, spec)
            if name in runs:
                answers[name] = _answer(bundle, runs[name], pixels)
            times.append((1000 * (time.perf_counter() - begun), 1000 * (time.process_time() - used)))
    return [_row(name, len(cells), times[1:], answers) for name, times in taken.items()]


def _decoded(cells: list[Path], spec: Any) -> Floats:
    from pneumo.serving.bundle.inputs import read_images

    images = read_images(cells, spec.size, spec.fit, 0, spec.modalities).images
    return np.asarray(images[..., None], np.float32)


def _answer(bundle: "Bundle", run: Run, pixels: Floats) -> Floats:
    logit, embedding, _ = run(pixels)
    bundle.feature_distance.out_of_distribution(embedding)
    return np.asarray(bundle.probability(logit[:, 0]), np.float32)


def _row(name: str, images: int, times: list[tuple[float, float]], answers: dict[str, Floats]) -> Row:
    wall, used = (statistics.median(column) for column in zip(*times, strict=True))
    gap = f", largest difference {np.abs(answers[name] - answers[KERAS]).max():.1e}" if name in answers else ""
    words = "one image" if images == 1 else f"batch of {images}"
    return {"name": f"{name}, {words}", "value": round(wall, 2), "unit": "ms", "note": f"CPU {used:.1f} ms{gap}"}


def _keras(network: "keras.Model", _: Path) -> Run:
    return lambda pixels: [np.asarray(item) for item in network.predict_on_batch(pixels)]


def _function(network: "keras.Model", _: Path) -> Run:
    """One trace for every number of images."""
    import tensorflow as tf

    traced = tf.function(lambda pixels: network(pixels, training=False), input_signature=[_spec(network)])
    return lambda pixels: [item.numpy() for item in traced(pixels)]


def _saved_model(network: "keras.Model", folder: Path) -> Run:
    import tensorflow as tf

    network.export(folder / "saved", verbose=False)
    loaded = tf.saved_model.load(str(folder / "saved"))  # its variables live as long as it does
    return lambda pixels: [item.numpy() for item in loaded.serve(tf.constant(pixels))]


def _litert(network: "keras.Model", folder: Path) -> Run:
    import tensorflow as tf

    network.export(folder / "model.tflite", format="litert", verbose=False, input_signature=[_spec(network)])
    interpreter = tf.lite.Interpreter(str(folder / "model.tflite"), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()
    (given,) = runner.get_input_details()

    def run(pixels: Floats) -> list[Any]:
        found = list(runner(**{given: pixels}).values())
        return sorted(found, key=lambda item: (item.ndim, item.shape[-1]))

    return run


def _onnx(network: "keras.Model", folder: Path) -> Run:
    import onnxruntime

    network.export(folder / "model.onnx", format="onnx", verbose=False, input_signature=[_spec(network)])
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0].name
    return lambda pixels: list(session.run(None, {given: pixels}))


def _spec(network: "keras.Model") -> Any:
    import tensorflow as tf

    return tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)


KERAS = "Keras, predict_on_batch (as served)"
RUNTIMES: dict[str, Callable[["keras.Model", Path], Run]] = {
    KERAS: _keras,
    "TensorFlow, tf.function": _function,
    "TensorFlow, SavedModel": _saved_model,
    "LiteRT": _litert,
    "ONNX Runtime": _onnx,
}
