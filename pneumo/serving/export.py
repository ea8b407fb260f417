"""The network for other runtimes: LiteRT (TFLite) and ONNX, each checked to give the same probabilities."""

import importlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pneumo.errors import ModelError, ServiceError
from pneumo.records.base import Record
from pneumo.serving.bundle.image_bundle import Bundle, Images

if TYPE_CHECKING:
    import keras

Form = Literal["litert", "onnx"]
Floats = NDArray[np.float32]
TOLERANCE = 1e-3  # largest difference of a probability; other kernels round differently
NEEDED: dict[Form, tuple[str, ...]] = {"litert": (), "onnx": ("tf2onnx", "onnx", "onnxruntime")}


class Exported(Record):
    """A written file; `spec` says how to use it, `gap` is the largest difference from the bundle's probabilities."""

    form: Form
    path: Path
    spec: Path
    megabytes: float
    gap: float


def comparison_images(example: Images) -> Images:
    """An X-ray, uint8 (1, size, size), with copies mirrored, turned, darker, lighter and of less contrast, (6, ...)."""
    wide = example.astype(np.float32)
    changed = (example, example[..., ::-1], example[:, ::-1], wide * 0.6, wide * 0.6 + 100, wide * 0.1 + 100)
    return np.concatenate([item.astype(np.uint8) for item in changed])


def require_possible(form: Form, path: Path) -> None:
    """Check that a form can be written to a file, before anything is fetched.

    Raises:
        ServiceError: a package that the form needs is missing, there is no such folder, or the file would have the name
            of the one beside it.
    """
    if not path.parent.is_dir():
        raise ServiceError(f"Expected a folder to write {path.name} to, but {path.parent} is none: make it first.")
    if path.suffix == ".json":
        raise ServiceError(f"Expected another ending than .json for the network, got {path.name}: a text goes there.")
    missing = [name for name in NEEDED[form] if importlib.util.find_spec(name) is None]
    if missing:
        raise ServiceError(
            f"Expected {', '.join(missing)} for {form}, not installed: `pip install {' '.join(missing)}`."
        )


def export(bundle: Bundle, form: Form, path: Path, images: Images) -> Exported:
    """Write the network, float32 (n, size, size, 1) in 0..255 -> logit (n, 1), in another form and check it.

    Temperature, threshold and preprocessing are not part of the file: they are in the JSON file beside it.

    Args:
        bundle: the one whose network is written.
        form: "litert", or "onnx" (needs the packages tf2onnx, onnx, onnxruntime).
        path: file to write.
        images: uint8 (n, size, size), on which both are compared; real X-rays show more than noise.

    Raises:
        ServiceError: as `require_possible`.
        ModelError: a probability differs by more than 0.001; nothing is left at `path`.
    """
    require_possible(form, path)
    spec = path.with_suffix(".json")
    write, load = FORMS[form]
    scratch = path.with_name(f".{path.name}")
    try:
        write(bundle.model, scratch)
        run = load(scratch)
        logits = np.concatenate([run(image[None, ..., None].astype(np.float32)) for image in images])
        gap = float(np.abs(bundle.probability(logits[:, 0]) - bundle.score(images).probability).max())
        if not gap <= TOLERANCE:  # nor is no number the same
            raise ModelError(
                f"Expected {form} to give the same probabilities within {TOLERANCE}, the gap is {gap:.2g}."
            )
        scratch.replace(path)
        spec.write_text(bundle.spec.model_dump_json(indent=2) + "\n", encoding="utf-8")
    finally:
        scratch.unlink(missing_ok=True)
    return Exported(form=form, path=path, spec=spec, megabytes=path.stat().st_size / 1e6, gap=gap)


def _write_litert(model: "keras.Model", path: Path) -> None:
    # Keras insists on its own suffix, and needs a signature or a model that was called before.
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        written = Path(folder) / "model.tflite"
        model.export(written, format="litert", verbose=False, input_signature=model.inputs)
        path.write_bytes(written.read_bytes())


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
    # Else Keras exports batch normalisation in a network of several views as it is in training.
    model.trainable = False
    model.export(path, format="onnx", verbose=False, input_signature=model.inputs)


def _load_onnx(path: Path) -> Callable[[Floats], Floats]:
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: np.asarray(session.run(None, {name: image})[0])


FORMS: dict[Form, tuple[Callable[["keras.Model", Path], None], Callable[[Path], Callable[[Floats], Floats]]]] = {
    "litert": (_write_litert, _load_litert),
    "onnx": (_write_onnx, _load_onnx),
}
