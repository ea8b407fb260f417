"""The one place that decodes pixels, for training and for serving alike."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from pneumo.data import dicom
from pneumo.errors import DataError
from pneumo.stages import Fit

SUFFIXES = (".jpeg", ".jpg", ".png", ".dcm", ".dicom")
MAXIMUM_PIXELS = 80_000_000  # a chest radiograph has at most some 20 million; below Pillow's own warning limit
MAXIMUM_BYTES = 256 * 2**20
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Picture:
    """An opened image whose pixels are not decoded yet; width and height as stored, before EXIF rotation."""

    image: Image.Image
    name: str
    mode: str
    width: int
    height: int


def decode(source: bytes | Path, size: int, fit: Fit, name: str | None = None) -> NDArray[np.uint8]:
    """Decode an encoded JPEG, PNG or DICOM image to gray, uint8 (size, size), 0 black to 255 white.

    Args:
        source: encoded bytes, or a file.
        size: edge of the result in pixels.
        fit: "squash" stretches to the square, "pad" keeps the aspect and fills with black.
        name: how errors call the image; default the file's path.

    Raises:
        DataError: not an image, broken, or larger than a radiograph can be; the message names the image.
    """
    return to_gray(open_picture(source, name), size, fit)


def open_picture(source: bytes | Path, name: str | None = None) -> Picture:
    """Read an image's header and check its limits; see `decode` for arguments and errors."""
    name = name or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, name) if isinstance(source, Path) else source
    if not data:
        raise DataError(f"Expected an image, but {name} is empty (0 bytes): fetch it again or take it out.")
    if dicom.is_dicom(data):
        image = dicom.render(data, name, MAXIMUM_PIXELS)
        return Picture(image, name, "DICOM", *image.size)
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except UNREADABLE as error:
        raise _unreadable(name, error) from error
    if image.width * image.height > MAXIMUM_PIXELS:
        raise DataError(
            f"Expected at most {MAXIMUM_PIXELS:,} pixels, but {name} declares {image.width} x {image.height}:"
            " reduce it or take it out."
        )
    return Picture(image, name, image.mode, image.width, image.height)


def read_bytes(path: Path, name: str) -> bytes:
    """Content of a file of bounded size; DataError when it cannot be read."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise DataError(f"Expected an image of at most {MAXIMUM_BYTES >> 20} MiB, but {name} is larger.")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Expected a readable file, but {name} gives: {error.strerror}; check it.") from error


def to_gray(picture: Picture, size: int, fit: Fit) -> NDArray[np.uint8]:
    """Decode an opened image to gray, uint8 (size, size); see `decode`."""
    try:
        picture.image.draft("L", _draft_size(picture, size, fit))  # JPEG only: scales inside the decoder, luma only
        image = ImageOps.exif_transpose(_as_gray(picture.image))
        if fit == "pad":
            scale = size / max(image.size)
            inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        else:
            inner = size, size
        image = image.resize(inner, Image.Resampling.BILINEAR, reducing_gap=2.0)
    except UNREADABLE as error:
        raise _unreadable(picture.name, error) from error
    if inner == (size, size):
        return np.array(image, dtype=np.uint8)
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - inner[1]) // 2, (size - inner[0]) // 2
    square[top : top + inner[1], left : left + inner[0]] = np.asarray(image)
    return square


def _draft_size(picture: Picture, size: int, fit: Fit) -> tuple[int, int]:
    if fit == "squash":
        return size, size
    scale = size / max(picture.width, picture.height)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _as_gray(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_deep(image)
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("L")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit gray to 8 bit by the bits in use, so that 12-bit pixels in a 16-bit file do not come out black."""
    pixels = np.asarray(image)
    bits = max(8, int(pixels.max()).bit_length())
    gray = Image.fromarray((pixels * (255.0 / (2**bits - 1)) + 0.5).astype(np.uint8))
    if orientation := image.getexif().get(0x0112):
        gray.getexif()[0x0112] = orientation
    return gray


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(f"Expected a whole JPEG, PNG or DICOM image, but {name} cannot be decoded ({_plain(error)}).")


def _plain(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is of another kind"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
