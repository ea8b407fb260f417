"""Searching files for words that must not be there, also in what is packed or encoded inside them."""

import base64
import binascii
import contextlib
import gzip
import io
import re
import zipfile
from collections.abc import Iterable, Iterator

import pyarrow.parquet
from PIL import ExifTags, Image, UnidentifiedImageError

BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
WRAPPED = re.compile(rb"\\n|\r?\n")  # base64 is often in lines, in JSON with their ends escaped
Source = tuple[str, bytes]


def hits(sources: Iterable[Source], words: Iterable[str]) -> list[str]:
    """Where a word is: "file!member: word"; in whatever case, as UTF-8 or as UTF-16."""
    wanted = {form: word for word in words for form in (word.lower().encode(), word.lower().encode("utf-16-le"))}
    return sorted(
        {
            f"{inner}: {word}"
            for name, data in sources
            for inner, content in contents(name, data)
            for form, word in wanted.items()
            if form in content.lower()
        }
    )


def contents(name: str, data: bytes) -> Iterator[Source]:
    """A file's bytes, and what is inside it: base64, zip, gzip, Parquet, texts and EXIF of pictures, also nested."""
    yield name, data
    for inner, content in _inside(data):
        yield from contents(f"{name}!{inner}", content)


def _inside(data: bytes) -> Iterator[Source]:
    if data[:4] == b"PAR1":
        yield from _parquet(data)
    elif zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            yield from ((member, packed.read(member)) for member in packed.namelist())
    elif data[:2] == b"\x1f\x8b":
        yield "gzip", gzip.decompress(data)
    elif data[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1"):
        yield from _picture(data)
    elif b"\0" not in data[:4096]:
        yield from _base64(data)


def _parquet(data: bytes) -> Iterator[Source]:
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    for column in table.column_names:
        for row, cell in enumerate(table[column].to_pylist()):
            if isinstance(cell, str | bytes):
                yield f"{column}[{row}]", cell.encode() if isinstance(cell, str) else cell


def _picture(data: bytes) -> Iterator[Source]:
    with contextlib.suppress(UnidentifiedImageError, OSError), Image.open(io.BytesIO(data)) as image:
        image.load()
        exif = image.getexif()
        found = {**image.info, **exif, **exif.get_ifd(ExifTags.IFD.Exif), **exif.get_ifd(ExifTags.IFD.GPSInfo)}
        for key, value in found.items():
            if isinstance(value, str | bytes):
                yield str(key), value.encode() if isinstance(value, str) else value


def _base64(data: bytes) -> Iterator[Source]:
    for number, found in enumerate(BASE64.findall(WRAPPED.sub(b"", data))):
        text = found.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        with contextlib.suppress(binascii.Error):
            yield f"base64[{number}]", base64.b64decode(text + b"=" * (-len(text) % 4))
