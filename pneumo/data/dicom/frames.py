"""The compressed frame of a DICOM file: which decoder may read it, and what is checked before it does.

Decoders are native code, and GDCM's of JPEG write beyond their memory where a frame declares another size than the data
set. The frame's own header is therefore read first, and must say what the data set says, whose size is limited.
"""

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

GDCM, PILLOW, PYDICOM = "gdcm", "pillow", "pydicom"  # plug-ins of pydicom, by its names
START, SCAN, END = b"\xff\xd8", 0xDA, 0xD9
BASELINE, EXTENDED, LOSSLESS, JPEG_LS = 0xC0, 0xC1, 0xC3, 0xF7  # markers of a JPEG frame header, by process
TABLES = (*range(0xE0, 0xF0), 0xC4, 0xDB, 0xDD, 0xF8, 0xFE)  # may stand before it: APPn, tables, restarts, comments
SIZE_OF_J2K = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream, and its image and tile size


class RefusedError(Exception):
    """A reason of our own, safe to show: it quotes nothing of the file but numbers and terms of the standard."""


class Frame(NamedTuple):
    """What a compressed frame's own header declares; bits of a sample, 0 where it does not say."""

    rows: int
    columns: int
    samples: int
    bits: int


def name_of(dataset: Any) -> str:
    """The standard's name of a data set's transfer syntax, such as "JPEG-LS Lossless Image Compression"."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return str(syntax.name) if syntax and syntax.name != syntax else "no transfer syntax of DICOM"


def prepare(dataset: Any) -> str:
    """Have pydicom decode the frame that is checked here, by the plug-in that is returned, "" where not compressed.

    Raises:
        RefusedError: no decoder reads this syntax, or the frame is other than the data set says.
    """
    from pydicom.encaps import encapsulate, get_frame
    from pydicom.uid import JPEGExtended12Bit, JPEGLossless

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not (syntax and syntax.is_transfer_syntax and not syntax.is_private):
        raise RefusedError("its pixels are in no way that is known")
    if not syntax.is_compressed:
        return ""
    if syntax not in (decoders := _decoders()):
        raise RefusedError("no decoder here reads its transfer syntax")
    plugin, read = decoders[syntax]
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    _require_same(read(frame, dataset), dataset)
    dataset.PixelData = encapsulate([frame])  # what was checked, and nothing that a decoder might find instead of it
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        dataset.pop(keyword, None)
    if syntax == JPEGExtended12Bit:  # pydicom keeps it from GDCM, which reads all of these by the frame's own header
        dataset.file_meta.TransferSyntaxUID = JPEGLossless
    dataset.pixel_array_options(decoding_plugin=plugin)
    return plugin


def _decoders() -> dict[str, tuple[str, Callable[[bytes, Any], Frame]]]:
    """Of each transfer syntax: pydicom's plug-in, and what reads the header of its frames."""
    from pydicom import uid

    def jpeg(*kinds: int) -> Callable[[bytes, Any], Frame]:
        return lambda frame, _: _read_jpeg(frame, kinds)

    return {
        uid.JPEGBaseline8Bit: (PILLOW, jpeg(BASELINE, EXTENDED)),
        uid.JPEGExtended12Bit: (GDCM, jpeg(BASELINE, EXTENDED)),
        uid.JPEGLossless: (GDCM, jpeg(LOSSLESS)),
        uid.JPEGLosslessSV1: (GDCM, jpeg(LOSSLESS)),
        uid.JPEGLSLossless: (GDCM, jpeg(JPEG_LS)),
        uid.JPEGLSNearLossless: (GDCM, jpeg(JPEG_LS)),
        uid.JPEG2000Lossless: (PILLOW, _read_jpeg_2000),
        uid.JPEG2000: (PILLOW, _read_jpeg_2000),
        uid.RLELossless: (PYDICOM, _read_rle),
    }


def _require_same(frame: Frame, dataset: Any) -> None:
    rows, columns, allocated = int(dataset.Rows), int(dataset.Columns), int(dataset.BitsAllocated)
    if frame[:3] != (rows, columns, 1):
        raise RefusedError(
            f"its frame declares {frame.rows} x {frame.columns} x {frame.samples}, its header {rows} x {columns} x 1"
        )
    if frame.bits > allocated or (frame.bits and allocated > 16):
        raise RefusedError(f"its frame has {frame.bits} bits a sample, its header allocates {allocated}")


def _read_jpeg(frame: bytes, kinds: tuple[int, ...]) -> Frame:
    """Of JPEG and JPEG-LS: the segments up to the only scan, among them one frame header (ITU-T T.81, B.1 and B.2)."""
    found: Frame | None = None
    for marker, content, end in _segments(frame):
        if marker in kinds and found is None and len(content) >= 6:
            bits, rows, columns, samples = struct.unpack(">BHHB", content[:6])
            found = Frame(rows, columns, samples, bits)
        elif marker == SCAN and found:
            _require_one_scan(frame[end:], kinds)
            return found
        elif marker not in TABLES:
            break
    raise RefusedError("its frame has no header as its transfer syntax has it")


def _segments(frame: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and end of each segment."""
    at = 2 if frame.startswith(START) else len(frame)
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(frame[at + 2 : at + 4])
        if not at + 4 <= end <= len(frame):
            return
        yield frame[at + 1], frame[at + 4 : end], end
        at = end


def _require_one_scan(coded: bytes, kinds: tuple[int, ...]) -> None:
    """Nothing but the end may follow the scan of a gray picture: a second header would be another size again."""
    marker = rb"\xff[\x80-\xfe]" if JPEG_LS in kinds else rb"\xff[^\x00\xff\xd0-\xd7]"  # what else is part of the scan
    first = re.search(marker, coded, re.DOTALL)
    if first is None or first[0][1] != END:
        raise RefusedError("its frame is cut off, or has more than one scan")


def _read_jpeg_2000(frame: bytes, dataset: Any) -> Frame:
    """Of JPEG 2000: the image size of the codestream (ITU-T T.800, A.5.1), also inside a JP2 file; one alone."""
    starts = [0] if frame.startswith(SIZE_OF_J2K) else [found.start() for found in re.finditer(SIZE_OF_J2K, frame)]
    if len(starts) != 1 or len(frame) < starts[0] + 43:
        raise RefusedError("its frame has no header as its transfer syntax has it")
    right, bottom, left, top, *_, samples, depth = struct.unpack_from(">8IHB", frame, starts[0] + 8)
    return Frame(bottom - top, right - left, samples, (depth & 0x7F) + 1)


def _read_rle(frame: bytes, dataset: Any) -> Frame:
    """Of RLE, which has no size: a segment of as many bytes as pixels for each byte of a sample (PS3.5, annex G)."""
    if len(frame) < 64:
        raise RefusedError("its frame has no header as its transfer syntax has it")
    count, *starts = struct.unpack("<16L", frame[:64])
    pixels = int(dataset.Rows) * int(dataset.Columns)
    ends = [*starts[1:count], len(frame)]
    if count * 8 != int(dataset.BitsAllocated):
        raise RefusedError(f"its frame has {count} segments, its header allocates {dataset.BitsAllocated} bits")
    for start, end in zip(starts[:count], ends, strict=True):
        if _unpacked(frame[start:end], 2 * pixels) > 2 * pixels:
            raise RefusedError(f"a segment of its frame unpacks to more than twice the {pixels:,} pixels declared")
    return Frame(int(dataset.Rows), int(dataset.Columns), 1, 0)


def _unpacked(segment: bytes, limit: int) -> int:
    """How many bytes a segment of RLE unpacks to, as soon as these are more than `limit`."""
    at = length = 0
    while at < len(segment) and length <= limit:
        code = segment[at]
        length += 257 - code if code > 128 else code + 1 if code < 128 else 0
        at += 2 if code > 128 else code + 2 if code < 128 else 1
    return length
