"""Augmentation by artefacts of devices and exports: fewer pixels, JPEG, covered corners, collimation.

Markers, borders and compression differ between wards, so they hint at the label; artefacts on images of both classes
remove the hint.
"""

import io

import numpy as np

EXPORTED, COVERED = 0.3, 0.5  # share of the images that get each kind, at strength 1 and above
SHRUNK = (1.2, 2.5)  # factor
QUALITY = (10, 60)  # of JPEG
CORNER, COLLIMATED = (1 / 16, 1 / 5), 1 / 8  # of the side


def add_artefacts(generator: np.random.Generator, images: np.ndarray, strength: float) -> np.ndarray:
    """Add artefacts to some of the images; uint8 (n, size, size) in and out. Strength 0 changes nothing."""
    exported, covered = EXPORTED * min(strength, 1), COVERED * min(strength, 1)
    result = np.empty_like(images)
    for position, image in enumerate(images):
        resampled, compressed, cornered, collimated = generator.random(4) < (exported, exported, covered, covered)
        found = _resampled(generator, image) if resampled else image
        found = _compressed(generator, found) if compressed else found
        result[position] = found
        if cornered:
            _cover_corners(generator, result[position])
        if collimated:
            _collimate(generator, result[position])
    return result


def _resampled(generator: np.random.Generator, image: np.ndarray) -> np.ndarray:
    from PIL import Image

    small = max(round(len(image) / generator.uniform(*SHRUNK)), 1)
    bilinear = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).resize((small, small), bilinear).resize(image.shape, bilinear))


def _compressed(generator: np.random.Generator, image: np.ndarray) -> np.ndarray:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(generator.integers(*QUALITY)))
    return np.asarray(Image.open(buffer))


def _cover_corners(generator: np.random.Generator, image: np.ndarray) -> None:
    """Cover corners at random, in black or one gray: letters and labels stand there."""
    side = len(image)
    for vertical, horizontal in ((0, 0), (0, 1), (1, 0), (1, 1)):
        if generator.random() < 0.5:
            height, width = np.round(side * generator.uniform(*CORNER, 2)).astype(int)
            rows = slice(0, height) if vertical == 0 else slice(side - height, side)
            columns = slice(0, width) if horizontal == 0 else slice(side - width, side)
            image[rows, columns] = generator.integers(0, 256) * generator.integers(0, 2)


def _collimate(generator: np.random.Generator, image: np.ndarray) -> None:
    """Black margins of random width, as collimation of the beam leaves them."""
    side = len(image)
    top, bottom, left, right = generator.integers(0, max(round(side * COLLIMATED), 1), 4)
    image[:top], image[side - bottom :], image[:, :left], image[:, side - right :] = 0, 0, 0, 0
