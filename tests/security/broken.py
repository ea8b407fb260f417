"""Files that are broken on purpose, how many of them a test tries, and how much memory some work takes.

A fixed budget: PNEUMO_FUZZ examples a target, 60 unless set; the same examples at every run. For a long search:
PNEUMO_FUZZ=20000 make test ARGS=tests/security
"""

import io
import os
import tracemalloc

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from pneumo.errors import DataError

BUDGET = int(os.environ.get("PNEUMO_FUZZ", "60"))

fuzz = settings(
    max_examples=BUDGET, deadline=None, derandomize=BUDGET == 60, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def at_most(work):
    """Result of some work, or the DataError it raises, and the most memory that Python held for it, bytes."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    except DataError as error:
        return str(error), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def picture(kind: str, mode: str = "L", **options) -> bytes:
    coarse = np.random.default_rng(3).integers(0, 256, (24, 20), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def radiograph() -> bytes:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3", "MUSTERMANN"
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.Rows, dataset.Columns = "MONOCHROME1", 1, 12, 10
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.WindowCenter, dataset.WindowWidth = 2, -5, 900, 1200
    dataset.PixelData = np.random.default_rng(4).integers(0, 4096, (12, 10), dtype=np.uint16).tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


IMAGES = [
    picture("JPEG"), picture("JPEG", "RGB", progressive=True), picture("PNG"), picture("PNG", "RGBA"), radiograph(),
    picture("PNG", "P"),
]  # fmt: skip


@st.composite
def broken(draw, *wholes: bytes):
    """A valid file with a few bytes changed, cut out, doubled, inserted, or its end missing."""
    data = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(("flip", "set", "cut", "double", "insert", "number", "end")))
        length = draw(st.integers(1, 24))
        if kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[at : at + length] = bytes([draw(st.sampled_from((0, 1, 127, 128, 255)))]) * length
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=24))
        elif kind == "number":
            data[at : at + 4] = draw(st.sampled_from((0, 1, 2**31 - 1, 2**32 - 1, 65535))).to_bytes(4, "little")
        else:
            del data[at:]
    return bytes(data)
