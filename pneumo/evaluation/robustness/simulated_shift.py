"""Simulated shift: what another scanner, another hospital or another export does to an image.

There are two groups of shifts, and augmentation uses none of them: a network that was trained on a change would only
show that it remembers it. `SHIFTS` judge candidates and operating points in a run. `UNSEEN` are kept out of runs as
well, so that recipes can be compared by them (`bench/recipe.py`).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Shift = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _local_contrast(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Detail enhanced against its surroundings, as the multi-scale processing of detectors does it."""
    values = image.astype("float32")
    return _gray(values + generator.uniform(0.6, 1.4) * (values - _smooth(values, 0.06)))


def _uneven_field(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Brighter to one side: a detector's heel effect, or a patient turned away."""
    angle, across = generator.uniform(0, 2 * np.pi), np.linspace(-0.5, 0.5, len(image))
    field = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    return _gray(image * (1 + 0.7 * field))


def _posterised(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Few gray values, as in a photograph of a screen or a poor export."""
    step = 256 / generator.integers(8, 17)
    return _gray((image // step + 0.5) * step)


def _sheared(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Sheared: horizontal lines stay, vertical lines lean."""
    centre, lean = (len(image) - 1) / 2, generator.choice((-1, 1)) * generator.uniform(0.1, 0.2)
    rows, columns = np.indices(image.shape, "float32")
    return _moved(image, rows, columns + lean * (rows - centre))


def _overlaid(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Tubes and wires over the chest, and a written mark."""
    from PIL import Image, ImageDraw

    size = len(image)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for _ in range(3):
        points = [tuple(point) for point in generator.uniform(0, size, (4, 2)).tolist()]
        draw.line(points, fill=int(generator.integers(180, 256)), width=max(size // 80, 1), joint="curve")
    draw.text(tuple(generator.uniform(0.05, 0.7, 2) * size), "AP SUPINE", fill=255)
    return np.asarray(picture)


def _hazy(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A veil of scattered radiation, as without a grid or of a large patient: light spreads to its surroundings."""
    share = generator.uniform(0.3, 0.6)
    return _gray((1 - share) * image + share * _smooth(image.astype("float32"), 0.15))


def _equalised(image: np.ndarray, _: np.random.Generator) -> np.ndarray:
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.equalize(Image.fromarray(image)))


def _pixelated(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Few pixels, enlarged without smoothing, as from a thumbnail."""
    from PIL import Image

    small = round(len(image) / generator.uniform(1.8, 3))
    nearest = Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize((small, small), nearest).resize(image.shape, nearest))


def _bent(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Waves through the image: another posture, another breath, a warped film."""
    size = len(image)
    rows, columns = np.indices(image.shape, "float32")
    phase, reach = generator.uniform(0, 2 * np.pi, 2), 0.03 * size
    turn = 2 * np.pi * generator.uniform(1, 2, 2) / size
    return _moved(
        image, rows + reach * np.sin(turn[0] * columns + phase[0]), columns + reach * np.sin(turn[1] * rows + phase[1])
    )


def _gridded(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Stripes of an anti-scatter grid."""
    wave = np.sin(2 * np.pi * np.arange(len(image)) / generator.uniform(3, 6))
    lines = wave[:, None] if generator.random() < 0.5 else wave[None, :]
    return _gray(image * (1 + 0.15 * lines))


def _smooth(values: np.ndarray, share: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, share * len(values)))


def _moved(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(image, (rows, columns), order=1, mode="constant"))


def _gray(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype("uint8")


SHIFTS: dict[str, Shift] = {
    "local contrast": _local_contrast,
    "uneven field": _uneven_field,
    "posterised": _posterised,
    "sheared": _sheared,
    "overlaid": _overlaid,
}
UNSEEN: dict[str, Shift] = {
    "hazy": _hazy,
    "equalised": _equalised,
    "pixelated": _pixelated,
    "bent": _bent,
    "gridded": _gridded,
}


def mixture(
    pixels: np.ndarray, kinds: Sequence[str], seed: int = 0, families: Mapping[str, Shift] = SHIFTS
) -> np.ndarray:
    """Apply to each image the shift that `kinds` names for it; uint8 (n, size, size) in and out."""
    generator = np.random.default_rng(seed)
    return np.stack([families[kind](image, generator) for image, kind in zip(pixels, kinds, strict=True)])
