"""The members of a zip or tar archive, read one after the other, with no more in memory than one of them takes."""

import bz2
import gzip
import lzma
import stat
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

CHUNK = 2**20
LONGEST_HEADER = 2**18  # bytes, with names, comments and attributes
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
ENTRY, LONGEST_END = b"PK\1\2", 76  # what an entry of a zip's directory begins with; bytes between it and its end


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive; `plain` is false for links and devices.

    `end` is how much of a tape has to be unpacked to come behind it, 0 where members can be reached directly.
    """

    name: str
    plain: bool
    folder: bool
    end: int
    open: Callable[[], IO[bytes]]


def members(archive: Path) -> Iterator[Member]:
    """Its files and folders in their order; whatever Python's own libraries raise for a broken one."""
    if is_zip(archive):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if entry.flag_bits & 1:
                    raise zipfile.BadZipFile("it is encrypted")
                kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the archive was not made on Unix
                plain = kind in (0, stat.S_IFREG)
                yield Member(entry.filename, plain, entry.is_dir(), 0, partial(packed.open, entry))
    else:
        with _Bytes(archive) as file, tarfile.open(fileobj=cast("IO[bytes]", file), mode="r:") as tape:
            while item := file.header_of(tape):
                end = item.offset_data + (0 if item.isdir() else item.size)
                yield Member(item.name, item.isfile(), item.isdir(), end, partial(_opened, tape, item))


def is_zip(archive: Path) -> bool:
    """Whether an archive is called like a zip; it is a tape else."""
    return archive.name.lower().endswith(".zip")


def entries(archive: Path) -> int:
    """How many entries a zip's directory has, or a few more; zipfile would hold millions in memory to tell."""
    with archive.open("rb") as file:
        end = cast(Any, zipfile)._EndRecData(file)  # place and size of the directory, without reading it
        if end is None:
            return 0  # no zip, as zipfile will say
        left, found, before = end[5] + LONGEST_END, 0, b""
        file.seek(max(end[9] - left, 0))
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            found += (before + chunk).count(ENTRY)
            before, left = chunk[1 - len(ENTRY) :], left - len(chunk)
    return found


class _Bytes:
    """An unpacked tape, of whose headers tarfile may read a limited part each: it keeps names and lists in memory."""

    def __init__(self, archive: Path) -> None:
        with archive.open("rb") as file:
            begin = file.read(6)
        unpack = next((unpack for magic, unpack in PACKED.items() if begin.startswith(magic)), open)
        self._file: IO[bytes] = unpack(archive, "rb")
        self._left = LONGEST_HEADER  # the first header is read as the tape is opened
        self.seek, self.tell = self._file.seek, self._file.tell

    def header_of(self, tape: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next header; those before it are forgotten."""
        tape.members, tape.pax_headers = [], {}  # type: ignore[attr-defined]
        self._left = LONGEST_HEADER
        header = tape.next()
        self._left = sys.maxsize
        return header

    def read(self, size: int) -> bytes:
        """At most so many bytes."""
        self._left -= size
        if self._left < 0:
            raise tarfile.ReadError(f"a header of over {LONGEST_HEADER >> 10} KiB")
        return self._file.read(size)

    def __enter__(self) -> "_Bytes":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _opened(tape: tarfile.TarFile, item: tarfile.TarInfo) -> IO[bytes]:
    stream = tape.extractfile(item)
    if stream is None:
        raise tarfile.ExtractError(f"{item.name} is no file")
    return stream
