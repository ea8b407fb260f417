"""What is measured of an image file: content hash, header, intensity statistics, perceptual hash."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumo.data import dicom
from pneumo.data.privacy import dicom_identity
from pneumo.data.store import decode
from pneumo.errors import DataError, OtherImageError
from pneumo.records.dicom_modalities import MODALITIES

SIZE = 224  # pixels a side for exploration and near duplicates; a training at this size uses the same decoded images
BINS = 32
SMALL = 4  # pixels a side that become one pixel of the small picture, 56 x 56, by their mean
HASH = 16  # frequencies in each direction, lowest first, of the perceptual hash
Row = dict[str, Any]
Small = NDArray[np.float32]
Column = NDArray[np.float64]


def measure(
    path: Path, name: str, secret: bytes, modalities: Collection[str] = MODALITIES
) -> tuple[Row, NDArray[np.uint8] | None]:
    """Read one file: its manifest columns but the statistics, and its pixels, uint8 (224, 224), or None if unreadable.

    `secret` is the key of the hashes that replace the patients of DICOM files, `modalities` are those of DICOM that are
    accepted. An unreadable file raises nothing: its column `error` says why, as does `other_image` if the image shows
    something else.
    """
    row: Row = {"sha256": "", "bytes": 0, "error": None}
    try:
        data = decode.read_bytes(path, name)
        row |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        if dicom.is_dicom(data):  # before the pixels: a file named after its patient may be unreadable
            row |= dicom_identity.identify(data, name, secret)._asdict()
        picture = decode.open_picture(data, name, modalities)
        row |= {"width": picture.width, "height": picture.height, "mode": picture.mode, **picture.facts}
        return row, decode.to_gray(picture, SIZE, "squash")
    except DataError as error:
        other = str(error) if isinstance(error, OtherImageError) else None
        return row | {"error": str(error), "other_image": other}, None


def statistics(pixels: NDArray[np.uint8]) -> list[Row]:
    """Intensity statistics of gray pictures, uint8 (images, 224, 224); shares are 0 to 1, intensities 0 to 255.

    `border` is the mean of a frame as wide as a fourteenth of the picture, `symmetry` the correlation of the picture
    with its mirror image at 28 x 28, `marker` the share of pixels outside the middle that are much brighter than their
    surroundings, `pixels` a hash of the decoded picture, `phash` a 256-bit perceptual hash.

    Many pictures are measured in one call, because one by one would take as long as decoding them.
    """
    images = [Image.fromarray(one) for one in pixels]
    shares = np.array([image.histogram() for image in images]) / pixels[0].size
    small = np.stack([np.asarray(image.reduce(SMALL)) for image in images]).astype(np.float32)
    grays = np.arange(256)
    mean = shares @ grays
    columns = {
        "mean": mean.round(2),
        "std": np.sqrt((shares @ grays**2 - mean**2).clip(0)).round(2),
        "dark": shares[:, :16].sum(axis=1).round(4),
        "bright": shares[:, 240:].sum(axis=1).round(4),
        "border": _border(small).round(2),
        "symmetry": _symmetry(small).round(4),
        "marker": _marker(small, pixels).round(5),
        "histogram": shares.reshape(len(shares), BINS, -1).sum(axis=2).round(5),
    }
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]
    for row, one, phash in zip(rows, pixels, _perceptual(small), strict=True):
        row |= {"pixels": hashlib.sha256(one).hexdigest()[:32], "phash": phash}
    return rows


def _border(small: Small) -> Small:
    frame = small.shape[1] // 14
    inner = small[:, frame:-frame, frame:-frame]
    border: Small = (small.sum(axis=(1, 2)) - inner.sum(axis=(1, 2))) / (small[0].size - inner[0].size)
    return border


def _symmetry(small: Small) -> Column:
    edge = small.shape[1] // 2
    tiny = small.reshape(-1, edge, 2, edge, 2).mean(axis=(2, 4), dtype=np.float64)
    tiny -= tiny.mean(axis=(1, 2), keepdims=True)
    power = (tiny * tiny).sum(axis=(1, 2))
    mirrored = (tiny * tiny[..., ::-1]).sum(axis=(1, 2))
    symmetry: Column = np.divide(mirrored, power, out=np.ones_like(power), where=power > 0)
    return symmetry


def _marker(small: Small, pixels: NDArray[np.uint8]) -> Column:
    """Share of pixels of letters and arrows, which are small, nearly white, and in the outer parts, (n,)."""
    from scipy.ndimage import uniform_filter

    around = uniform_filter(small, (0, 7, 7), mode="nearest")
    white = pixels > 220
    edge = pixels.shape[1] // 5
    white[:, edge:, edge:-edge] = False
    image, y, x = np.unravel_index(np.flatnonzero(white), white.shape)  # several times faster than nonzero
    stands_out = pixels[image, y, x] - around[image, y // SMALL, x // SMALL] > 90
    marker: Column = np.bincount(image[stands_out], minlength=len(pixels)) / pixels[0].size
    return marker


def _perceptual(small: Small) -> list[str]:
    """256-bit hashes as hex: which low frequencies are above their median (pHash, Zauner 2010)."""
    from scipy.fft import dctn

    low = dctn(small, axes=(1, 2))[:, :HASH, :HASH].reshape(len(small), -1)
    bits = low > np.median(low, axis=1, keepdims=True)
    return [packed.tobytes().hex() for packed in np.packbits(bits, axis=1)]
