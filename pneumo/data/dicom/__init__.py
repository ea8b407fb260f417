"""DICOM radiographs, rendered to gray; no direct identifier leaves this file."""

import io
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumo.data import gray_levels
from pneumo.data.dicom import acquisition, frames, modality_body_part_view
from pneumo.data.dicom.frames import RefusedError
from pneumo.errors import DataError, OtherImageError

DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax that packs all behind its name


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have the DICOM preamble."""
    return data[128:132] == b"DICM"


class Rendered(NamedTuple):
    """A gray 8-bit picture, and how and of whom it was taken, by `acquisition.COLUMNS`."""

    image: Image.Image
    facts: dict[str, str]


@contextmanager
def without_values(told: Callable[[str], DataError]) -> Iterator[None]:
    """Turn whatever a broken file raises in the block into the error that `told` makes of a reason.

    This is the one broad except for DICOM: pydicom and its plug-ins raise almost any error, and the error's text may
    quote header values, so only its type is shown. Its warnings quote them, too, such as a date of birth in a form that
    is not DICOM's, and are switched off: for the whole process and for good, since threads share that.
    """
    from pydicom import config

    config.settings.reading_validation_mode = config.IGNORE
    try:
        yield
    except DataError:
        raise
    except RefusedError as error:
        raise told(str(error)) from None
    except Exception as error:  # noqa: BLE001
        raise told(type(error).__name__) from None


def read(data: bytes, last_group: int = 0xFFFF) -> Any:
    """The data set of a DICOM file, up to and with a group of elements; raises whatever pydicom raises.

    A deflated file is refused, since pydicom would unpack all of it first, and 400 kB can become 800 MiB.
    """
    from pydicom.filereader import read_partial

    if DEFLATED in data:
        raise RefusedError("its transfer syntax is the deflated one, expected another")
    return read_partial(io.BytesIO(data), stop_when=lambda tag, *_: tag.group > last_group)


def yes_or_no(dataset: Any, keyword: str) -> str:
    """YES or NO by an element such as BurnedInAnnotation; empty if the element is neither."""
    said = str(dataset.get(keyword) or "").strip().upper()
    return said if said in ("YES", "NO") else ""


def render(data: bytes, name: str, maximum_pixels: int, modalities: Collection[str] | None = None) -> Rendered:
    """Gray 8-bit picture of a DICOM image, with rescale, VOI window and photometric interpretation applied.

    With `modalities` only of a chest from the front that one of them took; see `modality_body_part_view.find_fault`.

    Raises:
        OtherImageError: its header says that it is another image.
        DataError: it holds no single gray frame, is too large, or is compressed as no decoder here can read.
    """
    syntax = ""

    def told(reason: str) -> DataError:
        return DataError(f"Expected a DICOM radiograph, but {name} cannot be decoded ({reason}{syntax}): take it out.")

    with without_values(told):
        dataset = read(data)
        if modalities is not None and (fault := modality_body_part_view.find_fault(dataset, modalities)):
            raise OtherImageError(
                f"Expected a chest X-ray from the front ({', '.join(modalities)}), but {name} is {fault}: take it out."
            )
        pixels = int(dataset.get("Rows", 0)) * int(dataset.get("Columns", 0)) * int(dataset.get("NumberOfFrames") or 1)
        if not 0 < pixels <= maximum_pixels:
            raise RefusedError(f"{pixels:,} pixels declared, expected 1 to {maximum_pixels:,}")
        _require_one_gray_frame(dataset)
        syntax = f"; {frames.name_of(dataset)}"
        frames.prepare(dataset)
        return Rendered(Image.fromarray(_gray(dataset)), acquisition.describe(dataset))


def _require_one_gray_frame(dataset: Any) -> None:
    if (frames := int(dataset.get("NumberOfFrames") or 1)) != 1:
        raise RefusedError(f"expected one frame, found {frames}")
    if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise RefusedError("expected gray pixels, MONOCHROME1 or MONOCHROME2")


def _gray(dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut

    stored = dataset.pixel_array
    if stored.ndim != 2:
        raise RefusedError(f"expected one frame, found an array of shape {stored.shape}")
    values = apply_modality_lut(stored, dataset)
    table = (dataset.get("VOILUTSequence") or [{}])[0]
    if table.get("LUTDescriptor") and table.get("LUTData"):
        gray = _by_table(values, dataset, table)
    elif None not in (dataset.get("WindowCenter"), dataset.get("WindowWidth")):
        gray = _windowed(values, dataset)
    else:
        gray = gray_levels.by_percentiles(values)
    return 255 - gray if dataset.PhotometricInterpretation == "MONOCHROME1" else gray  # 0 is white there


def _windowed(values: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Black and white are the ends of the window, even if the picture uses only a part of it."""
    from pydicom.pixels.processing import apply_windowing

    black, white = apply_windowing(np.array([-np.inf, np.inf]), dataset)  # a negative slope makes white the lower
    return gray_levels.by_range((apply_windowing(values, dataset) - black) / ((white - black) or 1.0), 0.0, 1.0)


def _by_table(values: NDArray[Any], dataset: Any, table: Any) -> NDArray[np.uint8]:
    """Black and white are the table's lowest and highest entry, because many tables declare more bits than they use.

    pydicom's `apply_voi` is not used: in a table of 8-bit entries it takes an entry's number modulo 256.
    """
    count, first, _ = table.LUTDescriptor
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if dataset.original_encoding[1] else ">u2")
    entries = np.asarray(data, dtype=np.float64)[: count or 2**16]
    if len(entries) < (count or 2**16):
        raise RefusedError(f"its table of grays has {len(entries)} entries of the {count or 2**16} it declares")
    places = np.clip(values - float(first), 0, len(entries) - 1).astype(np.int64)
    return gray_levels.by_range(entries[places], float(entries.min()), float(entries.max()))
