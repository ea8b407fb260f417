"""Simulated change of acquisition: what another scanner, another hospital or another export does to an image.

Used only to judge: no candidate is trained on these functions.
"""

import io
from collections.abc import Callable, Sequence

import numpy as np

Shift = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _tone(function: Callable[[np.ndarray], np.ndarray]) -> Shift:
    table = np.round(255 * np.clip(function(np.linspace(0, 1, 256)), 0, 1)).astype("uint8")
    return lambda image, _: table[image]


def _noise(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return np.clip(image + generator.normal(0, 16, image.shape), 0, 255).astype("uint8")


def _blur(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image, 1.6 * len(image) / 224))


def _crop(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    margin = len(image) // 10
    left, top = generator.integers(0, 2 * margin + 1, 2)
    return _resized(image[top : len(image) - 2 * margin + top, left : len(image) - 2 * margin + left], len(image))


def _scale(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
    size = len(image)
    inner, result = _resized(image, round(0.85 * size)), np.zeros_like(image)
    start = (size - len(inner)) // 2
    result[start : start + len(inner), start : start + len(inner)] = inner
    return result


def _markers(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
    side, result = len(image) // 6, image.copy()
    for rows in (slice(0, side), slice(-side, None)):
        for columns in (slice(0, side), slice(-side, None)):
            result[rows, columns] = np.median(image[rows, columns])
    return result


def _jpeg(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=15)
    return np.asarray(Image.open(buffer))


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


SHIFTS: dict[str, Shift] = {
    "over-exposed": _tone(lambda value: 1.35 * value + 0.05),
    "under-exposed": _tone(lambda value: 0.6 * value),
    "low contrast": _tone(lambda value: 0.5 * value + 0.25),
    "gamma": _tone(lambda value: value**1.8),
    "blur": _blur,
    "noise": _noise,
    "crop": _crop,
    "scale": _scale,
    "markers": _markers,
    "jpeg": _jpeg,
}


def shifted(pixels: np.ndarray, name: str, seed: int = 0) -> np.ndarray:
    """Images under one shift of `SHIFTS`; uint8 (n, size, size) in and out."""
    generator = np.random.default_rng([seed, list(SHIFTS).index(name)])
    return np.stack([SHIFTS[name](image, generator) for image in pixels])


def mixture(pixels: np.ndarray, kinds: Sequence[str], seed: int = 0) -> np.ndarray:
    """Images each under a shift of its own, named by `kinds`; uint8 (n, size, size) in and out."""
    generator = np.random.default_rng(seed)
    return np.stack([SHIFTS[kind](image, generator) for image, kind in zip(pixels, kinds, strict=True)])
