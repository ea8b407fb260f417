"""The aspect ratio as a shortcut, and images in which it tells nothing.

In Kaggle's set normal images are 1.26 times as wide as high and pneumonias 1.52 times (medians of the originals in
`../shared/data/originals`). Scaled to squares they keep that as a distortion: the ribs of a pneumonia are narrower. At
another place it is otherwise, so a network that has learned it fails there.
"""

import numpy as np

HALF = 1.1  # half of the way between the classes' medians: sqrt(1.52 / 1.26)
SPREAD = 0.1  # of the log of the ratio, uniform, for both classes


def same_aspect(images: np.ndarray, ill: np.ndarray, seed: int) -> np.ndarray:
    """Widen pneumonias and heighten normals so that both classes are distorted alike; uint8 (n, size, size)."""
    spread = np.random.default_rng(seed).uniform(-SPREAD, SPREAD, len(images))
    ratios = np.where(ill, HALF, 1 / HALF) * np.exp(spread)
    return np.stack([stretched(image, float(ratio)) for image, ratio in zip(images, ratios, strict=True)])


def stretched(image: np.ndarray, ratio: float) -> np.ndarray:
    """Enlarge an image along one axis by a ratio, and cut out its middle: wider above 1, higher below."""
    from PIL import Image

    side = len(image)
    grown = round(side * max(ratio, 1 / ratio))
    edge = (grown - side) // 2
    wider = ratio > 1
    box = (edge, 0, edge + side, side) if wider else (0, edge, side, edge + side)
    enlarged = Image.fromarray(image).resize((grown, side) if wider else (side, grown), Image.Resampling.BILINEAR)
    return np.asarray(enlarged.crop(box))
