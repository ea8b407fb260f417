"""What a caller may give as an image: encoded bytes, base64 text, a path, or an array of pixels.

Text is always base64 and never the name of a file: text arrives over a network, and a served model must not read the
server's files, nor tell whether they exist. A path is a pathlib.Path, which only code in this process can make.
"""

import base64
import binascii
import io
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumo.data.parallel import workers
from pneumo.data.store.decode import decode
from pneumo.errors import DataError
from pneumo.records.base import ALONE, LEAST_DEVIATION, Fit
from pneumo.records.dicom_modalities import MODALITIES

ACCEPTED = "bytes of a JPEG, PNG or DICOM file, their base64 text, a pathlib.Path, or an array of pixels in 0..255"


class Decoded(NamedTuple):
    """Images, uint8 (m, size, size), of the readable rows, their positions, and an error or None for each row."""

    images: NDArray[np.uint8]
    rows: NDArray[np.intp]
    errors: list[str | None]


def read_images(
    cells: Sequence[Any], size: int, fit: Fit, first: int = 0, modalities: Collection[str] = MODALITIES
) -> Decoded:
    """Decode every cell, several at the same time; a bad one becomes an error, never a failed batch or a black image.

    Args:
        cells: of the kinds in `ACCEPTED`.
        size: pixels a side.
        fit: squash or pad.
        first: row number of the first cell; errors name cells that are not files by their row, unless one came alone.
        modalities: of DICOM that are accepted, as chests from the front.
    """
    alone = first == 0 and len(cells) == 1

    def read(row: int, cell: Any) -> NDArray[np.uint8] | str:
        called = ALONE if alone else f"row {row}"
        try:
            source = source_of(cell, called)
            name = str(source) if isinstance(source, Path) else called
            return _not_blank(decode(source, size, fit, name, modalities), name)
        except DataError as error:
            return str(error)

    with ThreadPoolExecutor(min(workers(), max(len(cells), 1))) as pool:
        results = list(pool.map(read, range(first, first + len(cells)), cells))
    images = [(row, item) for row, item in enumerate(results) if not isinstance(item, str)]
    return Decoded(
        np.stack([item for _, item in images]) if images else np.zeros((0, size, size), np.uint8),
        np.array([row for row, _ in images], np.intp),
        [item if isinstance(item, str) else None for item in results],
    )


def _not_blank(image: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The image itself: a network would call an image of one gray value healthy or ill as surely as a chest."""
    if image.std() < LEAST_DEVIATION:
        raise DataError(f"Expected an X-ray, but {name} is blank, its gray values hardly vary: export it again.")
    return image


def source_of(cell: Any, name: str) -> bytes | Path:
    """The decoder's input, bytes or a path, from any kind of cell.

    Raises:
        DataError: it is of no accepted kind.
    """
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    if isinstance(cell, Path):
        return cell
    if isinstance(cell, str):
        return _from_text(cell, name)
    if isinstance(cell, np.ndarray | list | tuple):
        return _from_pixels(cell, name)
    raise DataError(f"Expected {ACCEPTED}, but {name} holds {kind(cell)}: give one of these.")


def _from_text(text: str, name: str) -> bytes:
    content = text.split(",", 1)[1] if text.startswith("data:") and "," in text else text
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    # No image is shorter: a short text is a file's name, even if its letters happen to be base64.
    if len(data) >= 64:
        return data
    raise DataError(
        f"Expected {ACCEPTED}, but {name} holds a text that is not base64 ({text[:80]!r}): encode the bytes."
    )


def _from_pixels(cell: Any, name: str) -> bytes:
    """A lossless PNG of an array, so that arrays are decoded just as files are."""
    from PIL import Image

    try:
        pixels = np.asarray(cell)
        pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
        flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
        whole = flat and pixels.size > 0 and np.issubdtype(pixels.dtype, np.number)
        if not (whole and np.all((pixels >= 0) & (pixels <= 255))):
            raise ValueError
    except ValueError:
        raise DataError(
            f"Expected an array (height, width) or (height, width, 3) in 0..255, but {name} holds {kind(cell)}: change"
            " its axes or its values."
        ) from None
    if 0 < pixels.max() <= 1:
        raise DataError(
            f"Expected pixels in 0..255, but {name} holds an array whose brightest pixel is {pixels.max():.3g}, as in"
            " 0..1, which would be black: multiply it by 255."
        )
    file = io.BytesIO()
    Image.fromarray(np.rint(pixels).astype(np.uint8)).save(file, "PNG", compress_level=0)
    return file.getvalue()


def kind(cell: Any) -> str:
    """What a cell holds, in words for an error."""
    import pandas as pd

    if isinstance(cell, np.ndarray):
        return f"an array {cell.shape} of {cell.dtype}"
    # For anything but a scalar isna gives an array, and a comparison with pd.NA gives no bool.
    return "nothing" if pd.api.types.is_scalar(cell) and pd.isna(cell) else f"a {type(cell).__name__}"
