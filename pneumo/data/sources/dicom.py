"""DICOM radiographs: rendered to gray, their patient as a pseudonym; no direct identifier leaves this file."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumo.data.sources.identifying_paths import names_patient
from pneumo.data.sources.pseudonyms import pseudonym
from pneumo.errors import DataError

CLIPPED = 0.5
LAST_OF_PATIENT = 0x0012  # last group of elements that are about the patient; it holds PatientIdentityRemoved
DEFLATED = b"1.2.840.10008.1.2.1.99"  # the transfer syntax that compresses the whole data set


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have the DICOM preamble."""
    return data[128:132] == b"DICM"


class _RefusedError(Exception):
    """A reason in our own words, which quotes no header value."""


@contextmanager
def without_values(told: Callable[[str], DataError]) -> Iterator[None]:
    """Turn whatever a broken file raises in the block into the error that `told` makes of a reason.

    This is the one broad except for DICOM: pydicom and its plug-ins raise almost any error, and the error's text may
    quote header values, so only its type is shown.
    """
    try:
        yield
    except _RefusedError as error:
        raise told(str(error)) from None
    except Exception as error:  # noqa: BLE001
        raise told(type(error).__name__) from None


def read(data: bytes, last_group: int = 0xFFFF) -> Any:
    """The data set of a DICOM file, up to and with a group of elements; raises whatever pydicom raises.

    A deflated file is refused, since pydicom would unpack all of it first, and 400 kB can become 800 MiB.
    """
    from pydicom.filereader import read_partial

    if DEFLATED in data:
        raise _RefusedError("its transfer syntax is the deflated one, expected another")
    return read_partial(io.BytesIO(data), stop_when=lambda tag, *_: tag.group > last_group)


def render(data: bytes, name: str, maximum_pixels: int) -> Image.Image:
    """Gray 8-bit picture of a DICOM image, with rescale, VOI window and photometric interpretation applied.

    Raises:
        DataError: it holds no single gray frame, is too large, or is compressed as no installed decoder can read.
    """

    def told(reason: str) -> DataError:
        return DataError(f"Expected a DICOM radiograph, but {name} cannot be decoded ({reason}): take it out.")

    with without_values(told):
        dataset = read(data)
        pixels = int(dataset.get("Rows", 0)) * int(dataset.get("Columns", 0)) * int(dataset.get("NumberOfFrames") or 1)
        if not 0 < pixels <= maximum_pixels:
            raise _RefusedError(f"{pixels:,} pixels declared, expected 1 to {maximum_pixels:,}")
        return Image.fromarray(_gray(dataset))


def stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale gray values of any depth that come without a window to uint8 0..255, same shape.

    Black is the value with `CLIPPED` per cent of the pixels below it, white the one with as many above it, so that a
    few odd pixels change nothing. If both are the same value, the darkest and the brightest pixel are taken instead.
    """
    low, high = np.percentile(values, [CLIPPED, 100 - CLIPPED])
    if low == high:
        low, high = values.min(), values.max()
    return _scaled(values, float(low), float(high))


def identify(data: bytes, name: str, secret: bytes) -> tuple[str | None, bool]:
    """The patient's pseudonym, and whether the file's own path identifies the patient.

    The pseudonym is a keyed hash (HMAC-SHA-256) of the patient's identifier and its issuer, or None where the file has
    no identifier. The path identifies the patient if `name` holds a part of the patient's name, the identifier or the
    date of birth (see `names_patient`) and the header does not say that the identity was removed. Only the header is
    read; the rest of the file may be broken.

    Raises:
        DataError: the header is broken.
    """
    wanted = ["PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientIdentityRemoved"]

    def told(reason: str) -> DataError:
        return DataError(f"Expected a DICOM header, but that of {name} cannot be read ({reason}): take it out.")

    with without_values(told):
        dataset = read(data, LAST_OF_PATIENT)
        identifier, issuer, person, birth, removed = (str(dataset.get(tag) or "").strip() for tag in wanted)
    named = removed.upper() != "YES" and names_patient(name, person, identifier, birth)
    return pseudonym("dicom", f"{issuer}\0{identifier}", secret) if identifier else None, named


def _gray(dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut

    photometric = dataset.PhotometricInterpretation
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise _RefusedError("expected gray pixels, MONOCHROME1 or MONOCHROME2")
    stored = dataset.pixel_array
    if stored.ndim != 2:
        raise _RefusedError(f"expected one frame, found an array of shape {stored.shape}")
    values = apply_modality_lut(stored, dataset)
    table = (dataset.get("VOILUTSequence") or [{}])[0]
    if table.get("LUTDescriptor") and table.get("LUTData"):
        gray = _by_table(values, dataset, table)
    elif None not in (dataset.get("WindowCenter"), dataset.get("WindowWidth")):
        gray = _windowed(values, dataset)
    else:
        gray = stretched(values)
    return 255 - gray if photometric == "MONOCHROME1" else gray  # in MONOCHROME1 0 is white


def _windowed(values: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Black and white are the ends of the window, even if the picture uses only a part of it."""
    from pydicom.pixels.processing import apply_windowing

    black, white = apply_windowing(np.array([-np.inf, np.inf]), dataset)  # a negative slope makes white the lower
    return _scaled((apply_windowing(values, dataset) - black) / ((white - black) or 1.0), 0.0, 1.0)


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
        raise _RefusedError(f"its table of grays has {len(entries)} entries of the {count or 2**16} it declares")
    places = np.clip(values - float(first), 0, len(entries) - 1).astype(np.int64)
    return _scaled(entries[places], float(entries.min()), float(entries.max()))


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scale = 255.0 / (high - low) if high > low else 0.0
    return ((values.clip(low, high) - low) * scale + 0.5).astype(np.uint8)
