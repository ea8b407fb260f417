"""The network for other runtimes: LiteRT (TFLite) and ONNX, each checked to give the same probabilities."""

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pneumo.errors import ModelError, ServiceError
from pneumo.serving.bundle import Bundle, Images
from pneumo.stages import Record

if TYPE_CHECKING:
    import keras

Form = Literal["litert", "onnx"]
Floats = NDArray[np.float32]
TOLERANCE = 1e-3  # of a probability; other kernels round differently
NEEDED: dict[Form, tuple[str, ...]] = {"litert": (), "onnx": ("tf2onnx", "onnx", "onnxruntime")}


class Exported(Record):
    """A written file; `gap` is the largest difference of a probability to the bundle's."""

    form: Form
    path: Path
    megabytes: float
    gap: float


def export(bundle: Bundle, form: Form, path: Path, images: Images) -> Exported:
    """Write the network (float32 (n, size, size, 1) in 0..255 -> logit (n, 1)) in another form and check it.

    Temperature, threshold and preprocessing are not part of it: see serving.json.

    Args:
        bundle: to take the network from.
        form: "litert", or "onnx" (needs the packages tf2onnx, onnx, onnxruntime).
        path: of the file to write.
        images: uint8 (n, size, size) to compare on; real X-rays show more than noise.

    Raises:
        ServiceError: a package that the form needs is missing.
        ModelError: a probability differs by more than 0.001; nothing is left at `path`.
    """
    missing = [name for name in NEEDED[form] if importlib.util.find_spec(name) is None]
    if missing:
        raise ServiceError(
            f"Expected {', '.join(missing)} for {form}, not installed: `pip install {' '.join(missing)}`."
        )
    write, load = FORMS[form]
    scratch = path.with_name(f".{path.name}")
    try:
        write(bundle.model, scratch)
        run = load(scratch)
        logits = np.concatenate([run(image[None, ..., None].astype(np.float32)) for image in images])
        gap = float(np.abs(bundle.probability(logits[:, 0]) - bundle.score(images).probability).max())
        if gap > TOLERANCE:
            raise ModelError(
                f"Expected {form} to give the same probabilities within {TOLERANCE}, the gap is {gap:.2g}."
            )
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return Exported(form=form, path=path, megabytes=path.stat().st_size / 1e6, gap=gap)


def _write_litert(model: "keras.Model", path: Path) -> None:
    import tensorflow

    path.write_bytes(tensorflow.lite.TFLiteConverter.from_keras_model(model).convert())


def _load_litert(path: Path) -> Callable[[Floats], Floats]:
    import tensorflow

    interpreter = tensorflow.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image: Floats) -> Floats:
        interpreter.set_tensor(source["index"], image)
        interpreter.invoke()
        logit: Floats = interpreter.get_tensor(result["index"])
        return logit

    return run


def _write_onnx(model: "keras.Model", path: Path) -> None:
    model.export(path, format="onnx", verbose=False)


def _load_onnx(path: Path) -> Callable[[Floats], Floats]:
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {name: image})[0])


FORMS: dict[Form, tuple[Callable[["keras.Model", Path], None], Callable[[Path], Callable[[Floats], Floats]]]] = {
    "litert": (_write_litert, _load_litert),
    "onnx": (_write_onnx, _load_onnx),
}
