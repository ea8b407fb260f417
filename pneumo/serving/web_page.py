"""A page for one X-ray: probability, threshold, class activation map, model version. Needs the extra `app` (Gradio)."""

import html
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumo.data.store.decode import SUFFIXES, decode
from pneumo.errors import DataError, ServiceError
from pneumo.records.base import LABELS
from pneumo.serving.bundle.image_bundle import Bundle
from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.overlay import overlay
from pneumo.serving.page_record import Keep

if TYPE_CHECKING:
    import gradio

SHOWN = 640  # pixels a side of the picture on the page
LARGEST = "64mb"
FILES = "GRADIO_TEMP_DIR"  # variable that names the folder of uploads and pictures; Gradio reads it again and again
CLEANING = (60, 600)  # seconds between two deletions of pictures, and from which age on they are deleted
INTRODUCTION = "Drop a frontal chest X-ray (JPEG, PNG or DICOM). It stays on this machine."
LIMITS = (
    "For research and teaching: not a medical device. It knows pneumonia and healthy lungs of its training data only."
)


class Shown(NamedTuple):
    """What the page shows for an image."""

    picture: NDArray[np.uint8]
    probability: float
    label: str
    out_of_distribution: bool


def answer(bundle: Bundle, path: Path) -> Shown:
    """Score one file and draw its class activation map.

    Raises:
        DataError: it is no whole JPEG, PNG or DICOM image.
    """
    spec = bundle.spec
    image = decode(path, spec.size, spec.fit, path.name, spec.modalities)[None]
    scores = bundle.score(image)
    if not math.isfinite(scores.probability[0]):
        raise DataError(f"Expected a probability of {path.name}, but the model gives no number: use another model.")
    picture = overlay(decode(path, SHOWN, spec.fit, name=path.name), bundle.maps(image)[0])
    label = str(bundle.label(scores.probability)[0])
    return Shown(picture, float(scores.probability[0]), label, bool(scores.out_of_distribution[0]))


def build_page(bundle: Bundle, version: str, keep: Keep) -> "gradio.Blocks":
    """The page; `version` names the model as the registry does, `keep` logs each answer.

    Raises:
        ServiceError: Gradio is not installed.
    """
    gradio = require_gradio()

    def show(path: str | None) -> tuple[Any, str]:
        if path is None:
            return None, ""
        file, begun = Path(path), time.monotonic()
        try:
            digest = sha256(file.read_bytes()).hexdigest()
            picture, said, words = _answered(bundle, file)
            return picture, words + keep(digest, said, time.monotonic() - begun)
        finally:
            file.unlink(missing_ok=True)  # Gradio would keep the file and give it to anybody who knows its path

    with gradio.Blocks(title="pneumo", analytics_enabled=False, delete_cache=CLEANING) as page:
        gradio.Markdown(f"# Pneumonia on a chest X-ray\n{INTRODUCTION}")
        with gradio.Row():
            with gradio.Column(scale=2):
                file = gradio.File(label="X-ray", file_types=list(SUFFIXES), type="filepath")
                result = gradio.HTML(elem_id="result")
            with gradio.Column(scale=3):
                picture = gradio.Image(
                    label="Red speaks for pneumonia, blue against it", interactive=False, format="png",
                    buttons=["download", "fullscreen"],
                )  # fmt: skip
        gradio.Markdown(
            f"Model: {html.escape(version)} ({html.escape(bundle.spec.name)}){_synthetic(bundle)}. {LIMITS}"
        )
        file.change(show, file, [picture, result], api_name="score")
    return page


def open_page(bundle: Bundle, version: str, keep: Keep, host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        ServiceError: Gradio is not installed, or the port is taken.
    """
    with served_page(bundle, version, keep, host, port) as page:
        page.block_thread()


@contextmanager
def served_page(bundle: Bundle, version: str, keep: Keep, host: str, port: int) -> Iterator["gradio.Blocks"]:
    """Serve the page during the block; its address is `local_url`.

    Raises:
        ServiceError: Gradio is not installed, or the port is taken.
    """
    gradio = require_gradio()
    # Gradio's own themes fetch fonts from other hosts.
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    with _private_files():
        page = build_page(bundle, version, keep)
        try:
            page.launch(
                server_name=host, server_port=port, share=False, prevent_thread_lock=True, quiet=True, theme=theme,
                max_file_size=LARGEST, footer_links=[], enable_monitoring=False, ssr_mode=False, show_error=False,
            )  # fmt: skip
        except OSError as error:
            raise ServiceError(
                f"Expected to serve the page on {host}:{port}, but: {error}; choose another port."
            ) from None
        try:
            yield page
        finally:
            page.close(verbose=False)


@contextmanager
def _private_files() -> Iterator[None]:
    """Have Gradio keep its files in a folder that only this user can read; it is deleted after the block."""
    before = os.environ.get(FILES)
    with tempfile.TemporaryDirectory(prefix="pneumo-app-") as folder:
        os.environ[FILES] = folder
        try:
            yield
        finally:
            os.environ.pop(FILES)
            os.environ.update({FILES: before} if before is not None else {})


def _answered(bundle: Bundle, file: Path) -> tuple[NDArray[np.uint8] | None, Answer, str]:
    """Picture, the answer as it is logged, and words as HTML."""
    try:
        found = answer(bundle, file)
    except DataError as error:
        said = Answer(probability=None, label=None, error=str(error), out_of_distribution=False)
        return None, said, f"<p><strong>This file cannot be scored.</strong> {html.escape(str(error))}</p>"
    said = Answer(error=None, **{name: value for name, value in found._asdict().items() if name != "picture"})
    return found.picture, said, _text(found, bundle.spec.threshold)


BAR = """<h2>{label}</h2>
<p>Probability of pneumonia <strong>{probability:.1%}</strong>, threshold {threshold:.1%}</p>
<div style="position: relative; height: 14px; background: #e5e7eb; border-radius: 7px">
<div style="width: {probability:.1%}; height: 14px; background: {colour}; border-radius: 7px"></div>
<div style="position: absolute; left: {threshold:.1%}; top: -4px; width: 2px; height: 22px; background: #111"></div>
</div>{warning}"""


def _text(found: Shown, threshold: float) -> str:
    """A bar of the probability with a mark at the threshold, as HTML."""
    far = "<p><strong>Out-of-distribution: unlike the training images, so the probability means little.</strong></p>"
    warning = far if found.out_of_distribution else ""
    colour = "#b91c1c" if found.label == LABELS[1] else "#1d4ed8"
    label, probability = html.escape(found.label), found.probability
    return BAR.format(label=label, probability=probability, threshold=threshold, colour=colour, warning=warning)


def _synthetic(bundle: Bundle) -> str:
    return ", trained on SYNTHETIC drawings" if bundle.spec.synthetic else ""


def require_gradio() -> Any:
    """Import Gradio, which is optional and takes seconds.

    Raises:
        ServiceError: it is not installed.
    """
    try:
        import gradio
    except ModuleNotFoundError:
        raise ServiceError("Expected Gradio for the page, but it is not installed: run `pip install gradio`.") from None
    return gradio
