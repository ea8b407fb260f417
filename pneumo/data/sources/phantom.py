"""A drawn data set of chest pictures (ribs, heart, lungs, opacities) to try everything without data; not medicine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.errors import DataError

IMAGES = 480
EDGE = 256
FIRST_PATIENT = 332  # with this series the split by hash puts about a fifth of each kind in validation
Array = NDArray[np.float32]
# Share of images and of patients by kind; bacteria and virus about as in Kaggle's set.
KINDS = (("NORMAL", 0.44), ("bacteria", 0.34), ("virus", 0.22))


@dataclass(frozen=True)
class Anatomy:
    """What all pictures of one drawn patient share; lengths in halves of the picture's edge."""

    lung_width: float
    lung_height: float
    heart: float
    ribs: float
    exposure: float
    opacities: tuple[tuple[float, float, float, float], ...]  # x, y, radius, strength


def draw(home: Path, images: int = IMAGES) -> Path:
    """Folder of a drawn set in Kaggle's layout and with its file names; drawn once, the same on every machine.

    Raises:
        DataError: fewer than 40 images are asked for, too few for three splits of two classes.
    """
    if images < 40:
        raise DataError(f"Expected at least 40 phantom images, but {images} were asked for: ask for more.")
    key = stage_key("phantom", images=images, code=code_version("data/sources/phantom.py"))
    folder = home / "cache" / "phantom" / key
    if not is_kept(folder):
        with written_once(folder) as scratch:
            for kind, share in KINDS:
                _draw_kind(scratch / "chest_xray", kind, round(images * share))
    return folder / "chest_xray"


def _draw_kind(root: Path, kind: str, images: int) -> None:
    """Draw patients of one kind, with one to four pictures each, until there are so many images."""
    drawn, patient = 0, FIRST_PATIENT
    while drawn < images:
        patient += 1
        random = np.random.default_rng([len(kind), patient, 20180222])
        anatomy = _anatomy(random, kind)
        for _ in range(min(int(random.integers(1, 5)), images - drawn)):
            drawn += 1
            split = "test" if patient % 4 == 0 else "val" if patient == FIRST_PATIENT + 1 else "train"
            folder = root / split / ("NORMAL" if kind == "NORMAL" else "PNEUMONIA")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(_picture(random, anatomy)).save(folder / _name(kind, patient, drawn), quality=90)


def _name(kind: str, patient: int, image: int) -> str:
    if kind != "NORMAL":
        return f"person{patient}_{kind}_{image}.jpeg"
    return f"{'NORMAL2-' if patient % 2 else ''}IM-{patient:04d}-{image:04d}.jpeg"


def _anatomy(random: np.random.Generator, kind: str) -> Anatomy:
    sides = (-1.0, 1.0)
    if kind == "bacteria":  # one dense consolidation
        spots = [
            (random.choice(sides), random.uniform(-0.2, 0.4), random.uniform(0.25, 0.38), random.uniform(100, 140))
        ]
    elif kind == "virus":  # faint patches on both sides
        spots = [
            (side, random.uniform(-0.4, 0.5), random.uniform(0.12, 0.22), random.uniform(70, 110))
            for side in sides
            for _ in range(int(random.integers(3, 6)))
        ]
    else:
        spots = []
    return Anatomy(
        lung_width=random.uniform(0.27, 0.34),
        lung_height=random.uniform(0.58, 0.72),
        heart=random.uniform(0.2, 0.3),
        ribs=random.uniform(15, 30),
        exposure=random.uniform(0.85, 1.1),
        opacities=tuple((side * random.uniform(0.34, 0.5), y, r, strength) for side, y, r, strength in spots),
    )


def _picture(random: np.random.Generator, anatomy: Anatomy) -> NDArray[np.uint8]:
    """One picture of a patient, uint8 (256, 256); each is a little moved, turned and differently exposed."""
    x, y = _grid(random)
    body = _ellipse(x, y, 0.0, 0.15, 0.95, 1.25)
    lungs = np.maximum(
        _ellipse(x, y, -0.42, 0.0, anatomy.lung_width, anatomy.lung_height),
        _ellipse(x, y, 0.42, 0.0, anatomy.lung_width, anatomy.lung_height),
    )
    heart = _ellipse(x, y, 0.14, 0.28, anatomy.heart, anatomy.heart * 1.25)
    ribs = np.clip(np.sin(22 * (y + 0.35 * np.abs(x) ** 1.5)), 0, 1) * lungs
    spine = np.exp(-((x / 0.09) ** 2)) * body
    picture = 25 + 135 * body - 95 * lungs + anatomy.ribs * ribs + 25 * spine + 60 * heart * (0.4 + 0.6 * lungs)
    for cx, cy, radius, strength in anatomy.opacities:
        cloud = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / radius**2))
        picture += strength * cloud * (0.25 + 0.75 * lungs)
    noise = random.normal(0, 5, (EDGE, EDGE)) + 6 * _smooth_noise(random)
    exposure = anatomy.exposure * random.uniform(0.95, 1.05)
    exposed: NDArray[np.uint8] = np.clip(picture * exposure + noise, 0, 255).astype(np.uint8)
    return exposed


def _grid(random: np.random.Generator) -> tuple[Array, Array]:
    y, x = np.mgrid[-1 : 1 : EDGE * 1j, -1 : 1 : EDGE * 1j].astype(np.float32)
    turn, zoom = random.normal(0, 0.03), random.uniform(0.93, 1.07)
    x, y = x - random.normal(0, 0.03), y - random.normal(0, 0.03)
    return zoom * (x * np.cos(turn) - y * np.sin(turn)), zoom * (x * np.sin(turn) + y * np.cos(turn))


def _ellipse(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    """A filled ellipse with a soft edge, 1 inside to 0 outside."""
    distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
    inside: Array = (1 / (1 + np.exp((distance - 1) * 18))).astype(np.float32)
    return inside


def _smooth_noise(random: np.random.Generator) -> Array:
    coarse = random.normal(0, 1, (9, 9)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((EDGE, EDGE), Image.Resampling.BICUBIC))
