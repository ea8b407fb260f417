"""The one place that decodes pixels, for training and serving alike."""

import io
import stat
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pneumo.data import dicom, gray_levels
from pneumo.errors import DataError
from pneumo.records.base import Fit

SUFFIXES = (".jpeg", ".jpg", ".png", ".dcm", ".dicom")
MAXIMUM_PIXELS = 80_000_000  # a chest radiograph has 20 million at most; this is below Pillow's own limit
MAXIMUM_BYTES = 256 * 2**20
PNG_DEPTH = 24  # offset of the byte that holds the bits of a sample
TURNS = range(2, 9)  # EXIF's orientations other than upright
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


@dataclass(frozen=True)
class Picture:
    """An opened image whose pixels are not decoded yet; width and height as stored, before EXIF rotation.

    `facts` are what a DICOM header says of how and of whom it was taken, by `acquisition.COLUMNS`.
    """

    image: Image.Image
    name: str
    mode: str
    width: int
    height: int
    facts: Mapping[str, str] = field(default_factory=dict)


def decode(
    source: bytes | Path, size: int, fit: Fit, name: str | None = None, modalities: Collection[str] | None = None
) -> NDArray[np.uint8]:
    """Decode an encoded JPEG, PNG or DICOM image to gray, uint8 (size, size), 0 black to 255 white.

    Args:
        source: encoded bytes, or a file.
        size: edge of the result in pixels.
        fit: "squash" stretches to the square, "pad" keeps the aspect and fills with black.
        name: the image's name in errors; by default the file's path.
        modalities: of DICOM that are accepted, and then only chests from the front; None if that was checked before.

    Raises:
        OtherImageError: a DICOM header says that it is another image.
        DataError: it is no image, broken, or larger than a radiograph can be; the message names it.
    """
    return to_gray(open_picture(source, name, modalities), size, fit)


def open_picture(source: bytes | Path, name: str | None = None, modalities: Collection[str] | None = None) -> Picture:
    """Read an image's header and check the limits; arguments and errors as for `decode`."""
    name = name or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, name) if isinstance(source, Path) else source
    if not data:
        raise DataError(f"Expected an image, but {name} is empty (0 bytes): fetch it again or take it out.")
    if dicom.is_dicom(data):
        image, facts = dicom.render(data, name, MAXIMUM_PIXELS, modalities)
        return Picture(image, name, "DICOM", *image.size, facts)
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except UNREADABLE as error:
        raise _unreadable(name, error) from error
    if image.width * image.height > MAXIMUM_PIXELS:
        raise DataError(
            f"Expected at most {MAXIMUM_PIXELS:,} pixels, but {name} declares {image.width} x {image.height}:"
            " reduce it or take it out."
        )
    if image.format == "PNG" and data[PNG_DEPTH] == 16 and not image.mode.startswith("I"):
        raise DataError(  # Pillow would keep the upper 8 bits, which are empty in a 12-bit image
            f"Expected a 16-bit PNG in gray, but {name} has colours or transparency: save it in gray without an alpha"
            " channel, or with 8 bits."
        )
    return Picture(image, name, image.mode, image.width, image.height)


def read_bytes(path: Path, name: str) -> bytes:
    """Content of a file of bounded size.

    Raises:
        DataError: it cannot be read, is no plain file, or is too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
            raise DataError(f"Expected a file, but {name} is a pipe or a device: take it out.")
        require_size(status.st_size, name)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Expected a readable file, but {name} gives: {error.strerror}; check it.") from error


def require_size(size: int, name: str) -> None:
    """Check a file's size in bytes before it is read.

    Raises:
        DataError: it is larger than an image can be.
    """
    if size > MAXIMUM_BYTES:
        raise DataError(f"Expected an image of at most {MAXIMUM_BYTES >> 20} MiB, but {name} is larger: reduce it.")


def to_gray(picture: Picture, size: int, fit: Fit) -> NDArray[np.uint8]:
    """Decode an opened image to gray, uint8 (size, size); arguments and errors as for `decode`."""
    inner = _inner_size(picture, size, fit)
    try:
        # JPEG only: scaled in the decoder, luma only. The box is the picture's edge in fractions of a pixel.
        drafted = picture.image.draft("L", inner)
        image = _as_gray(picture.image)
        image = image.resize(inner, Image.Resampling.BILINEAR, box=drafted and drafted[1], reducing_gap=2.0)
        if turned := orientation(picture.image):
            image.info["exif"] = turned  # a change of mode loses it
            ImageOps.exif_transpose(image, in_place=True)
    except UNREADABLE as error:
        raise _unreadable(picture.name, error) from error
    pixels = np.array(image, dtype=np.uint8)
    if pixels.shape == (size, size):
        return pixels
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - pixels.shape[0]) // 2, (size - pixels.shape[1]) // 2
    square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return square


def orientation(image: Image.Image) -> bytes:
    """EXIF that holds the image's orientation and nothing else; empty if the image is upright."""
    turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    if turn not in TURNS:
        return b""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    return exif.tobytes()


def _inner_size(picture: Picture, size: int, fit: Fit) -> tuple[int, int]:
    """Width and height in pixels of the picture inside the square."""
    if fit == "squash":
        return size, size
    scale = size / max(picture.width, picture.height)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _as_gray(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # No file tells how many of its 16 bits are used.
        return Image.fromarray(gray_levels.by_percentiles(np.asarray(image)))
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return image.convert("L")


def _unreadable(name: str, error: Exception) -> DataError:
    return DataError(
        f"Expected a whole JPEG, PNG or DICOM image, but {name} cannot be decoded ({_plain(error)}): export it again,"
        " or take it out."
    )


def _plain(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is of another kind"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
