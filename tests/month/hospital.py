"""A drawn hospital: its labelled images, those of new patients that clients send, and a new device in mid-month."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from pneumo.data.sources.names import patient_of
from pneumo.data.sources.phantom import draw

DRAWN = 960
SIDE = 128  # pixels
OLD, NEW = "old", "new"  # devices
GROUPS = 4  # of patients: two are labelled images of the old device, one is of the new one, one is asked about


class Asked(NamedTuple):
    """An image that a client sends, and what it shows."""

    content: bytes
    label: str


def drawn(home: Path, groups: tuple[int, ...]) -> list[Path]:
    """The drawn images of groups of patients; each group has patients of every split."""
    files = sorted(draw(home, DRAWN).rglob("*.jpeg"))
    return [file for file in files if _number(file) // 4 % GROUPS in groups]


def label_images(home: Path, folder: Path, device: str) -> None:
    """Put labelled images of a device into a folder, beside what is there."""
    random = np.random.default_rng(len(device))
    for file in drawn(home, (0, 1) if device == OLD else (2,)):
        place = folder / file.parent.parent.name / file.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / file.name).write_bytes(taken(_pixels(file), device, random))


def asked(home: Path, device: str, seed: int) -> Iterator[Asked]:
    """Images without end of patients who are in no data set, each a little moved and differently exposed."""
    random = np.random.default_rng(seed)
    known = [(_pixels(file), file.parent.name) for file in drawn(home, (3,))]
    while True:
        pixels, label = known[random.integers(len(known))]
        moved = np.roll(pixels, tuple(random.integers(-3, 4, 2)), (0, 1))
        yield Asked(taken(moved, device, random), label)


def taken(pixels: NDArray[np.uint8], device: str, random: np.random.Generator) -> bytes:
    """A picture as a device takes it, as JPEG: the new one is hazy, dark and noisy."""
    values = pixels * random.uniform(0.95, 1.05)
    if device == NEW:
        values = 0.5 * values + 0.5 * gaussian_filter(values, SIDE / 8)
        values = 255 * (np.clip(values, 0, 255) / 255) ** 1.6 + random.normal(0, 12, values.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _pixels(file: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(file).resize((SIDE, SIDE)))


def _number(file: Path) -> int:
    return int("".join(filter(str.isdigit, patient_of(file.name) or "")))
