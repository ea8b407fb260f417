"""Remove from an image file what identifies the patient; what is left decodes to exactly the same pixels.

Writing that is burned into the picture stays; a file whose header says that it identifies the patient is refused.
"""

import hashlib
import io
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from pneumo.data import dicom
from pneumo.data.dicom import acquisition, frames
from pneumo.data.store import decode
from pneumo.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n"
CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# JPEG segments of the picture itself: frame, Huffman and arithmetic tables, scan, quantization, lines, restarts.
SEGMENTS = (*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD)
# Segments that tell how colours are stored; one of them may hold a thumbnail.
JFIF, ADOBE, SCAN, END = 0xE0, 0xEE, 0xDA, 0xD9
COLOURS = ((JFIF, b"JFIF\0"), (ADOBE, b"Adobe"))
RESTARTS = (0x00, *range(0xD0, 0xD8))  # inside a scan
ELEMENTS = (
    "SOPClassUID", "PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration", "NumberOfFrames",
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction",
)  # fmt: skip
TABLES = ("ModalityLUTSequence", "VOILUTSequence")
LUT = ("LUTDescriptor", "LUTData")


def deidentify(data: bytes, name: str, patient: str | None) -> bytes:
    """The same picture without headers, texts and thumbnails; the same input gives the same output bytes.

    Args:
        data: a JPEG, PNG or DICOM file.
        name: its name in errors.
        patient: pseudonym that replaces the patient of a DICOM file, or None.

    Raises:
        DataError: the file is built so that it cannot be taken apart without changing the picture, or says that its
            picture identifies the patient.
    """
    if dicom.is_dicom(data):
        return _dicom(data, name, patient)
    orientation = decode.orientation(decode.open_picture(data, name).image)
    try:
        return PNG + b"".join(_png(data, orientation)) if data.startswith(PNG) else b"".join(_jpeg(data, orientation))
    except (struct.error, IndexError, ValueError) as error:
        raise _refused(name, str(error) or type(error).__name__) from error


def _refused(name: str, reason: str) -> DataError:
    return DataError(
        f"Expected an image that can be de-identified, but {name} cannot ({reason}): save it anew, take it out, or set"
        " data.storage_originals to true if the storage may hold it as it is."
    )


def _png(data: bytes, orientation: bytes) -> Iterator[bytes]:
    import zlib

    at, kind = len(PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        whole, at = data[at : at + 12 + length], at + 12 + length
        if kind in CHUNKS:
            yield whole
        if kind == b"IHDR" and orientation:
            content = b"eXIf" + orientation.removeprefix(b"Exif\0\0")
            yield struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def _jpeg(data: bytes, orientation: bytes) -> Iterator[bytes]:
    at = 2
    yield data[:2]
    if orientation:
        yield b"\xff\xe1" + struct.pack(">H", len(orientation) + 2) + orientation
    while (marker := _marker(data, at)) != END:
        at = data.index(b"\xff", at) + 1
        while data[at] == 0xFF:  # fill bytes
            at += 1
        end = at + 1 + struct.unpack(">H", data[at + 1 : at + 3])[0]
        if marker == SCAN:
            end = _scan_end(data, end)
        if marker in SEGMENTS:
            yield b"\xff" + data[at:end]
        elif (marker, data[at + 3 : at + 8]) in COLOURS:
            yield _colours(marker, data[at + 3 : end])
        at = end
    yield b"\xff\xd9"


def _colours(marker: int, content: bytes) -> bytes:
    """JFIF's segment without its thumbnail, or Adobe's, cut to their regular length."""
    content = content[:12] + b"\0\0" if marker == JFIF else content[:12]
    return bytes((0xFF, marker)) + struct.pack(">H", len(content) + 2) + content


def _marker(data: bytes, at: int) -> int:
    if data[at] != 0xFF:
        raise ValueError(f"no JPEG segment begins at byte {at}")
    while data[at] == 0xFF:
        at += 1
    return data[at]


def _scan_end(data: bytes, at: int) -> int:
    """Offset at which the next segment begins."""
    while True:
        at = data.index(b"\xff", at)
        if data[at + 1] not in (*RESTARTS, 0xFF):
            return at
        at += 1 if data[at + 1] == 0xFF else 2


def _dicom(data: bytes, name: str, patient: str | None) -> bytes:
    import pydicom
    from pydicom.uid import generate_uid

    with dicom.without_values(partial(_refused, name)):
        source = dicom.read(data)
        burned_in, removed = (
            dicom.yes_or_no(source, name) for name in ("BurnedInAnnotation", "PatientIdentityRemoved")
        )
        if burned_in == "YES" and removed != "YES":
            raise frames.RefusedError("by its header, writing in the picture identifies the patient")
        pixels = _pixels(source)
        kept = _elements(source, ELEMENTS)
        for keyword, value in acquisition.elements(acquisition.describe(source)).items():
            setattr(kept, keyword, value)
        for keyword in TABLES:
            if keyword in source:
                setattr(kept, keyword, [_elements(item, LUT) for item in source[keyword].value])
        kept.PixelData = pixels
        kept.SOPInstanceUID = generate_uid(entropy_srcs=[hashlib.sha256(pixels).hexdigest()])
        kept.PatientID, kept.PatientIdentityRemoved = patient or "", "YES"
        kept.DeidentificationMethod = "pneumo: only pixels, how they are shown, coarse facts"
        kept.file_meta = pydicom.dataset.FileMetaDataset()
        kept.file_meta.TransferSyntaxUID = source.file_meta.TransferSyntaxUID
        file = io.BytesIO()
        kept.save_as(file, enforce_file_format=True)
        return file.getvalue()


def _pixels(source: Any) -> bytes:
    """The pixels alone, uncompressed: a compressed frame can hold comments, and PixelData can hold more behind it."""
    from pydicom.pixels.utils import get_expected_length

    if plugin := frames.prepare(source):
        source.decompress(decoding_plugin=plugin)
    length = get_expected_length(source)
    pixels: bytes = source.PixelData[:length]
    return pixels + b"\0" * (length % 2)


def _elements(source: Any, keywords: tuple[str, ...]) -> Any:
    """A data set of these elements of another one, as far as it has them."""
    import pydicom

    kept = pydicom.Dataset()
    for keyword in keywords:
        if keyword in source:
            kept.add(source[keyword])
    return kept
