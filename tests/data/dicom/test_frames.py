"""Every transfer syntax that hospitals have gives the picture of its uncompressed twin; broken frames never get far."""

import io
import struct
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import UID, HTJ2KLossless

from pneumo.data.dicom import frames, render
from pneumo.data.store.decode import decode
from pneumo.data.store.deidentify import deidentify
from pneumo.errors import DataError

TESTED = Path(pydicom.__file__).parent / "data/test_files"
KINDS = gdcm.TransferSyntax
SMOOTH = (np.add.outer(np.sin(np.arange(64) / 9), np.cos(np.arange(80) / 7)) * 900 + 2000).astype(np.uint16)


def pixels(dataset):
    """What `render` decodes, before it is shown."""
    frames.prepare(dataset)
    return dataset.pixel_array.astype(int)


def given(name):
    return pydicom.dcmread(TESTED / name)


TWINS = {  # pydicom's own gray files that have one
    "JPEG 2000 lossless": ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
    "JPEG-LS lossless": ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
    "RLE": ("MR_small_RLE.dcm", "MR_small.dcm"),
    "RLE of 32 bits": ("rtdose_rle_1frame.dcm", "rtdose_1frame.dcm"),
}


@pytest.mark.parametrize("kind", TWINS)
def test_a_compressed_file_has_the_pixels_of_its_twin(kind):
    name, twin = TWINS[kind]
    np.testing.assert_array_equal(pixels(given(name)), given(twin).pixel_array)


@pytest.mark.parametrize("name", ["JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm"])
def test_near_lossless_jpeg_ls_shows_bands_of_one_gray(name):
    rows = pixels(given(name))
    assert np.ptp(rows, axis=1).max() == 0
    assert len(np.unique(rows)) > 5


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_jpeg_of_12_bits_is_close_to_the_same_picture_in_jpeg_2000(name):
    """Both lose much: 262,144 pixels of counts are 6,830 bytes here."""
    found, other = pixels(given(name)), pixels(given("JPEG2000.dcm")).clip(0)
    assert found.shape == other.shape
    assert np.abs(found - other).mean() < 5
    assert np.corrcoef(found.ravel(), other.ravel())[0, 1] > 0.95


def recoded(data, kind, folder, loss=0):
    """A DICOM file compressed by GDCM; `loss` is 100 less JPEG's quality."""
    (folder / "plain.dcm").write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "plain.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(KINDS(kind))
    if loss:
        codec = gdcm.JPEGCodec()
        codec.SetLossless(False)
        codec.SetQuality(100 - loss)
        change.SetUserCodec(codec)
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / "packed.dcm"))
    assert writer.Write()
    return (folder / "packed.dcm").read_bytes()


EIGHT = (SMOOTH // 16).astype(np.uint8)
TWELVE = {"BitsStored": 12, "HighBit": 11}
MADE = {  # pixels, elements, syntax, loss, and how far a pixel may be off
    "JPEG lossless": (SMOOTH, {}, KINDS.JPEGLosslessProcess14, 0, 0),
    "JPEG lossless, first-order": (SMOOTH, {}, KINDS.JPEGLosslessProcess14_1, 0, 0),
    "JPEG lossless of 12 bits": (SMOOTH, TWELVE, KINDS.JPEGLosslessProcess14_1, 0, 0),
    "JPEG lossless of 8 bits": (EIGHT, {}, KINDS.JPEGLosslessProcess14_1, 0, 0),
    "JPEG-LS": (SMOOTH, TWELVE, KINDS.JPEGLSLossless, 0, 0),
    "JPEG-LS of 8 bits": (EIGHT, {}, KINDS.JPEGLSLossless, 0, 0),
    "JPEG 2000": (SMOOTH, TWELVE, KINDS.JPEG2000Lossless, 0, 0),
    "JPEG 2000 of 8 bits": (EIGHT, {}, KINDS.JPEG2000Lossless, 0, 0),
    "RLE": (SMOOTH, {}, KINDS.RLELossless, 0, 0),
    "RLE of 8 bits": (EIGHT, {}, KINDS.RLELossless, 0, 0),
    "JPEG baseline": (EIGHT, {}, KINDS.JPEGBaselineProcess1, 5, 3),
    "JPEG extended of 12 bits": (SMOOTH, TWELVE, KINDS.JPEGExtendedProcess2_4, 5, 20),
    "JPEG extended of 8 bits": (EIGHT, {}, KINDS.JPEGExtendedProcess2_4, 5, 3),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_was_compressed_decodes_to_what_it_was(make, tmp_path, kind):
    picture, elements, syntax, loss, off = MADE[kind]
    plain = make.dicom(picture, **elements)
    packed = recoded(plain, syntax, tmp_path, loss)
    dataset = pydicom.dcmread(io.BytesIO(packed))
    assert dataset.file_meta.TransferSyntaxUID.is_compressed
    assert np.abs(pixels(dataset) - picture.astype(int)).max() <= off
    shown, twin = (decode(data, 64, "pad").astype(int) for data in (packed, plain))
    assert np.abs(shown - twin).max() <= off
    copy = deidentify(packed, "x.dcm", None)
    np.testing.assert_array_equal(decode(copy, 64, "pad"), decode(packed, 64, "pad"))


@pytest.fixture
def with_frame(make, tmp_path):
    """Makes a file whose compressed frame is changed, and its header not."""
    return lambda change, syntax: changed(recoded(make.dicom(SMOOTH, **TWELVE), syntax, tmp_path), change)


def changed(data, change):
    dataset = pydicom.dcmread(io.BytesIO(data))
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    dataset.PixelData = encapsulate([bytes(change(frame))])
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


def larger(frame):
    """JPEG-LS: twice the height in the frame's own header."""
    at = frame.index(b"\xff\xf7") + 5
    frame[at : at + 2] = struct.pack(">H", 128)
    return frame


def two_headers(frame):
    at = frame.index(b"\xff\xf7")
    segment = frame[at : at + 13]
    return frame[:at] + segment + frame[at:]


def vast(frame):
    """JPEG 2000: four thousand million pixels."""
    frame[8:16] = struct.pack(">2I", 65_000, 65_000)
    return frame


def two_components(frame):
    """JPEG-LS: three samples a pixel."""
    frame[frame.index(b"\xff\xf7") + 9] = 3
    return frame


def bomb(frame):
    """RLE: a segment of 200,000 bytes that unpacks to 12.8 million."""
    return frame[:64] + b"\x81\x00" * 100_000


BROKEN = {
    "another height": (KINDS.JPEGLSLossless, larger, "its frame declares 128 x 80 x 1, its header 64 x 80 x 1"),
    "more samples": (KINDS.JPEGLSLossless, two_components, "its frame declares 64 x 80 x 3"),
    "two headers": (KINDS.JPEGLSLossless, two_headers, "no header as its transfer syntax has it"),
    "cut off": (KINDS.JPEGLSLossless, lambda frame: frame[:-40], "cut off, or has more than one scan"),
    "no header": (KINDS.JPEGLSLossless, lambda frame: bytes(100), "no header as its transfer syntax has it"),
    "vast": (KINDS.JPEG2000Lossless, vast, "its frame declares 65000 x 65000 x 1"),
    "no codestream": (KINDS.JPEG2000Lossless, lambda frame: bytes(100), "no header as its transfer syntax has it"),
    "bomb": (KINDS.RLELossless, bomb, "unpacks to more than twice the 5,120 pixels"),
    "no segments": (KINDS.RLELossless, lambda frame: bytes(64), "its frame has 0 segments"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_frame_other_than_the_header_says_is_refused_before_it_is_decoded(with_frame, monkeypatch, kind):
    syntax, change, words = BROKEN[kind]
    data = with_frame(change, syntax)
    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(lambda _: pytest.fail("it was decoded")))
    with pytest.raises(DataError, match=words) as caught:
        render(data, "x.dcm", 10_000)
    assert f"; {UID(KINDS.GetTSString(syntax)).name}): take it out." in str(caught.value)
    assert "x.dcm" in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG lossless", "JPEG-LS", "JPEG extended of 12 bits"])
def test_a_broken_frame_is_decoded_or_refused_and_the_process_lives(make, tmp_path, kind):
    """Without the checks GDCM ends one process in thirty."""
    picture, elements, syntax, loss, _ = MADE[kind]
    data, random = recoded(make.dicom(picture, **elements), syntax, tmp_path, loss), np.random.default_rng(0)

    def spoil(frame):
        for at in random.integers(0, random.choice([80, len(frame)]), random.integers(1, 5)):
            frame[at] = random.integers(256)
        return frame

    refused = 0
    for _ in range(100):
        try:
            assert decode(changed(data, spoil), 32, "pad").shape == (32, 32)
        except DataError:
            refused += 1
    assert 0 < refused < 100


def test_a_decoders_error_is_a_reason_with_the_name_of_the_syntax(with_frame):
    spoiled = with_frame(lambda frame: frame[:60] + b"\x55" * 900 + b"\xff\xd9", KINDS.JPEGLSLossless)
    with pytest.raises(
        DataError, match=r"x\.dcm cannot be decoded \(RuntimeError; JPEG-LS Lossless Image Compression\)"
    ):
        decode(spoiled, 32, "pad", "x.dcm")


@pytest.mark.parametrize(
    ("syntax", "words"),
    [
        (HTJ2KLossless, "no decoder here reads its transfer syntax; High-Throughput JPEG 2000"),
        (UID("1.2.840.10008.1.2.4.100"), "no decoder here reads its transfer syntax; MPEG2"),
        (UID("1.2.276.0.99"), "its pixels are in no way that is known; no transfer syntax of DICOM"),
    ],
)
def test_a_syntax_that_no_decoder_reads_is_named(make, syntax, words):
    dataset = pydicom.dcmread(io.BytesIO(make.dicom(SMOOTH)))
    dataset.PixelData = encapsulate([bytes(100)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file, implicit_vr=False, little_endian=True)
    with pytest.raises(DataError, match=words):
        decode(file.getvalue(), 32, "pad", "x.dcm")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_syntax_of_pydicoms_own_files_is_decoded():
    found = (pydicom.dcmread(path, force=True, stop_before_pixels=True) for path in TESTED.glob("*.dcm"))
    syntaxes = {dataset.file_meta.get("TransferSyntaxUID") for dataset in found if "Rows" in dataset} - {None}
    packed = {syntax for syntax in syntaxes if syntax.is_compressed and not syntax.is_deflated}
    assert len(packed) >= 8
    assert packed <= frames._decoders().keys()
