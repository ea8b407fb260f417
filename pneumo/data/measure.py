"""What one image file is like: content hash, header, intensity statistics, perceptual hash."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pneumo.data import decode, dicom
from pneumo.errors import DataError

SIZE = 224  # the form most runs ask for, so that its rows can be kept and decoding happens once
BINS = 32
Row = dict[str, Any]


def measure(path: Path, name: str, secret: bytes) -> tuple[Row, NDArray[np.uint8] | None]:
    """Read one file: its manifest columns, and its pixels uint8 (224, 224) or None where unreadable.

    `secret` is the key that patients of DICOM files are hashed with. The column `error` says why a file is
    unreadable; nothing is raised for it.
    """
    row: Row = {"sha256": "", "bytes": 0, "error": None}
    try:
        data = decode.read_bytes(path, name)
        row |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        picture = decode.open_picture(data, name)
        row |= {"width": picture.width, "height": picture.height, "mode": picture.mode}
        if picture.mode == "DICOM":
            row["patient"] = dicom.patient_key(data, secret)
        pixels = decode.to_gray(picture, SIZE, "squash")
    except DataError as error:
        return row | {"error": str(error)}, None
    return row | statistics(pixels), pixels


def statistics(pixels: NDArray[np.uint8]) -> Row:
    """Intensity statistics of a gray picture, uint8 (n, n); shares are 0 to 1, intensities 0 to 255.

    `border` is the mean of the outer sixteenth, `symmetry` the correlation of the picture with its mirror image at
    28 x 28, `marker` the share of pixels that stand out brightly from their surroundings outside the chest's middle,
    `pixels` a hash of the decoded picture, `phash` a 256-bit perceptual hash (imagehash).
    """
    import imagehash

    counts = np.bincount(pixels.ravel() // (256 // BINS), minlength=BINS)
    frame = max(1, len(pixels) // 16)
    inner = pixels[frame:-frame, frame:-frame]
    mean = float(pixels.mean())
    border = (mean * pixels.size - float(inner.sum())) / (pixels.size - inner.size)
    image = Image.fromarray(pixels)
    return {
        "mean": round(mean, 2),
        "std": round(float(pixels.std()), 2),
        "dark": round(float((pixels < 16).mean()), 4),
        "bright": round(float((pixels >= 240).mean()), 4),
        "border": round(border, 2),
        "symmetry": _symmetry(image),
        "marker": _marker(image, pixels),
        "histogram": [round(float(count) / pixels.size, 5) for count in counts],
        "pixels": hashlib.blake2b(pixels.tobytes(), digest_size=16).hexdigest(),
        "phash": str(imagehash.phash(image, hash_size=16)),
    }


def _symmetry(image: Image.Image) -> float:
    small = np.asarray(image.reduce(image.width // 28), dtype=np.float64)
    small = small - small.mean()
    power = float((small * small).sum())
    return round(float((small * small[:, ::-1]).sum()) / power, 4) if power else 1.0


def _marker(image: Image.Image, pixels: NDArray[np.uint8]) -> float:
    """Letters and arrows are near white, small, and sit in the outer parts of the picture."""
    around = np.asarray(image.filter(ImageFilter.BoxBlur(image.width // 16)), dtype=np.int16)
    stands_out = (pixels > 220) & (pixels - around > 90)
    edge = image.width // 5
    stands_out[edge:, edge:-edge] = False
    return round(float(stands_out.mean()), 5)
