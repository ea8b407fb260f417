"""Every image that cannot be read is a row with the reason; the run goes on."""

import os
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo.data.sources.schemes import ingest
from pneumo.settings.data import Data
from tests.data.place import Place

TARGET = "train/NORMAL/IM-0042-0001.jpeg"


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def pixels(place: Place) -> np.ndarray:
    return np.asarray(place.make.picture(7))


UNREADABLE: list[tuple[str, Callable[[Place], bytes], str]] = [
    ("zero bytes", lambda place: b"", "is empty"),
    ("text called .jpeg", lambda place: b"hello", "its content is of another kind"),
    ("truncated JPEG", lambda place: place.jpeg()[:700], "truncated"),
    ("JPEG header only", lambda place: place.jpeg()[:4], "cannot be decoded"),
    ("GIF called .jpeg", lambda place: place.make.encoded(Image.new("L", (9, 9)), "GIF"), "of another kind"),
    ("truncated PNG", lambda place: place.jpeg(kind="PNG")[:2000], "cannot be decoded"),
    ("PNG with damaged data", lambda place: png(64, 64, b"\0" * 99), "cannot be decoded"),
    ("decompression bomb", lambda place: png(60_000, 60_000, b""), "cannot be decoded"),
    ("image larger than any radiograph", lambda place: png(9_400, 9_400, b""), "declares 9400 x 9400"),
    ("truncated DICOM", lambda place: place.make.dicom(pixels(place))[:900], "cannot be decoded"),
    ("colour DICOM", lambda place: place.make.dicom(pixels(place), PhotometricInterpretation="RGB"), "gray pixels"),
    ("DICOM film loop", lambda place: place.make.dicom(np.stack([pixels(place)] * 2), NumberOfFrames=2), "one frame"),
    ("DICOM bomb", lambda place: place.make.dicom(pixels(place), Rows=60_000, Columns=60_000), "3,600,000,000 pixels"),
    ("DICOM cut short", lambda place: place.make.dicom(pixels(place), PixelData=b"\0" * 100), "cannot be decoded"),
    ("DICOM without an image", lambda place: place.make.dicom(pixels(place), Rows=0), "0 pixels declared"),
]


@pytest.mark.parametrize(("spoil", "text"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")
def test_an_image_that_cannot_be_read_is_a_row_with_the_reason(place, home, spoil, text):
    rows = pd.read_parquet(ingest(place.put(TARGET, spoil(place)), home, Data()).manifest)
    bad = rows[rows["error"].notna()]
    assert bad["path"].tolist() == [TARGET]
    assert TARGET in bad["error"].iloc[0]
    assert text in bad["error"].iloc[0]


def test_a_dangling_link_is_a_row_with_the_reason(place, home):
    (place.root / TARGET).symlink_to(place.top / "gone.jpeg")
    rows = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "No such file" in rows.loc[TARGET, "error"]


def test_a_pipe_is_a_row_with_the_reason_and_is_not_waited_for(place, home):
    os.mkfifo(place.root / TARGET)
    rows = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "is a pipe or a device" in rows.loc[TARGET, "error"]


def test_a_file_too_large_for_a_radiograph_is_a_row_with_the_reason(place, home):
    with (place.root / TARGET).open("wb") as file:
        file.truncate(300 * 2**20)
    rows = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "at most 256 MiB" in rows.loc[TARGET, "error"]
