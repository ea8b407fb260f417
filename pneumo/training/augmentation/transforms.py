"""Augmentation: small, anatomically plausible changes, drawn by NumPy and applied by any Keras backend.

No flips: the heart is on the left. The draws depend on the generator alone, so a resumed training sees the same images.
"""

from typing import Any

import numpy as np

SHIFT, ROTATION, ZOOM, ASPECT = 0.06, 10.0, 0.12, 0.12  # of the side, degrees, factor, factor
CONTRAST, BRIGHTNESS, GAMMA = 0.30, 0.12, 0.35  # factor, of the range, log of the exponent
BLUR, SHARPEN, NOISE = 0.9, 0.4, 0.03  # share of the smoothed image, share of sharpening, share of the range
CROP_ASPECT = 4 / 3  # widest and tallest crop
COLUMNS = 13  # 8 of the transform, contrast, brightness, gamma, smoothing, noise


def draw(generator: np.random.Generator, count: int, size: int, strength: float, crop: float = 1.0) -> np.ndarray:
    """Parameters for `count` images, float32 (count, COLUMNS).

    Args:
        size: side of the images in pixels.
        strength: 0 changes nothing, 1 is usual.
        crop: smallest share of the area that a crop shows (Szegedy et al. 2015); 1: always the whole image.
    """

    def symmetric(limit: float) -> np.ndarray:
        return generator.uniform(-limit, limit, count) * strength

    sides, places = _crops(generator, count, crop)
    geometry = _transform(
        np.radians(symmetric(ROTATION)),
        sides * np.exp(symmetric(ZOOM) + np.stack([(aspect := symmetric(ASPECT)), -aspect])),
        size * (places + np.stack([symmetric(SHIFT), symmetric(SHIFT)])),
        (size - 1) / 2,
    )
    tones = [np.exp(symmetric(CONTRAST)), symmetric(BRIGHTNESS), np.exp(symmetric(GAMMA))]
    often = generator.random((2, count)) < 0.5
    smoothing = np.clip(generator.uniform(-SHARPEN, BLUR, count) * strength, -1, 1) * often[0]
    noise = generator.uniform(0, NOISE, count) * strength * often[1]
    return np.stack([*geometry, *tones, smoothing, noise], axis=1).astype("float32")


def _crops(generator: np.random.Generator, count: int, crop: float) -> tuple[np.ndarray, np.ndarray]:
    """Sides of crops as shares of the image's sides, and offsets of their centres from its centre, (2, count) each."""
    area = generator.uniform(crop, 1, count)
    tall = np.exp(generator.uniform(-1, 1, count) * np.log(CROP_ASPECT) * (crop < 1))
    sides = np.minimum(np.sqrt(area * np.stack([tall, 1 / tall])), 1)
    return sides, generator.uniform(-0.5, 0.5, (2, count)) * (1 - sides)


def cumulative_histograms(images: np.ndarray) -> np.ndarray:
    """Share of each image's pixels up to each gray value; uint8 (n, size, size) -> float64 (n, 256)."""
    counts = np.stack([np.bincount(image.ravel(), minlength=256) for image in images])
    return np.asarray((np.cumsum(counts, axis=1) - counts / 2) / images[0].size)


def match_histograms(
    generator: np.random.Generator, images: np.ndarray, strength: float, others: np.ndarray
) -> np.ndarray:
    """Match the histograms of images partly to those of others, as if another machine had taken them.

    Exposure and processing differ between wards, so they hint at the label; this removes the hint.

    Args:
        images: uint8 (n, size, size); the result likewise.
        others: `cumulative_histograms` of the images to match to, float64 (m, 256).
    """
    values, result = np.arange(256) / 255, np.empty_like(images)
    for position, own in enumerate(cumulative_histograms(images)):
        target = np.interp(own, others[generator.integers(len(others))], values)
        share = generator.random() * (generator.random() < min(strength, 1))
        curve = (1 - share) * values + share * target
        result[position] = np.round(255 * np.clip(curve, 0, 1)).astype("uint8")[images[position]]
    return result


def apply(images: Any, parameters: Any) -> Any:
    """Transform images, float32 (n, size, size, 1) in 0..255, by parameters (n, COLUMNS); same shape and range."""
    from keras import ops

    moved = ops.image.affine_transform(images, parameters[:, :8], interpolation="bilinear", fill_mode="constant")
    contrast, brightness, gamma, smoothing, noise = (
        parameters[:, column, None, None, None] for column in range(8, COLUMNS)
    )
    value = ops.clip((moved / 255 - 0.5) * contrast + 0.5 + brightness, 1e-4, 1)
    value = ops.power(value, gamma)
    value = value + smoothing * (_smooth(value) - value) + noise * _grain(images, parameters)
    return 255 * ops.clip(value, 0, 1)


def _transform(angle: np.ndarray, zoom: np.ndarray, shift: np.ndarray, centre: float) -> list[np.ndarray]:
    """Rows of the map from output to input pixels about the centre, as Keras expects them, (n, 8)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    a, b, d, e = cosine * zoom[0], -sine * zoom[0], sine * zoom[1], cosine * zoom[1]
    c = centre + shift[0] - (a + b) * centre
    f = centre + shift[1] - (d + e) * centre
    zero = np.zeros_like(angle)
    return [a, b, c, d, e, f, zero, zero]


def _smooth(value: Any, reach: int = 2) -> Any:
    """Mean over a square of 2 reach + 1 pixels, from shifted copies: pooling one channel takes 20 times as long."""
    from keras import ops

    for axis in (1, 2):
        moved = [ops.roll(value, step, axis=axis) for step in range(-reach, reach + 1)]
        value = sum(moved[1:], moved[0]) / len(moved)
    return value


def _grain(images: Any, parameters: Any) -> Any:
    """Noise in -1..1 from a hash of pixel position and parameters, the same on every backend.

    `keras.random` takes one seed for a whole batch, or a state that counts calls. Here each image has its own
    parameters as its seed, so that a resumed training draws the same noise as an uninterrupted one.
    """
    from keras import ops

    size = images.shape[1]
    y, x = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    position = ops.convert_to_tensor((x * 12.9898 + y * 78.233)[None, ..., None].astype("float32"))
    salt = ops.sum(parameters[:, 2:6:3], axis=1)[:, None, None, None]
    wave = ops.sin(position + salt) * 43758.5453
    return 2 * (wave - ops.floor(wave)) - 1
