"""Zip and tar archives, treated as hostile: nothing is written outside the target, and sizes are limited."""

import bz2
import gzip
import lzma
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar, cast

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.data.file_cache import Stamp
from pneumo.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CLASH = (NotADirectoryError, IsADirectoryError, FileExistsError)  # a file and a folder of the same name
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, struct.error,
    *CLASH,
)  # fmt: skip
CHUNK = 2**20
LONGEST_HEADER = 2**18  # bytes of a header with its names, comments and attributes
PACKED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
LONGEST_NAME = 255  # bytes that common file systems allow
Part = TypeVar("Part")


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. The ratio of unpacked to packed size is checked beyond `ratio_from` bytes."""

    files: int = 1_000_000
    total: int = 200 * 2**30
    ratio: float = 100.0
    ratio_from: int = 64 * 2**20


@dataclass(frozen=True)
class Member:
    """A file in an archive; `plain` is false for links and devices."""

    name: str
    plain: bool
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Whether a file has the name of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def extract(archive: Path, home: Path, limits: Limits | None = None) -> Path:
    """Unpack an archive once and return the folder; an archive that has changed is unpacked again.

    Raises:
        DataError: it is broken or encrypted, or holds links, paths that lead outside, or more than the limits.
    """
    stamp = Stamp.of(archive)
    folder = home / "cache" / "archives" / stage_key("archive", path=archive, size=stamp.size, changed=stamp.mtime_ns)
    if not is_kept(folder):
        with written_once(folder) as scratch:
            try:
                _unpack(archive, scratch, limits or Limits())
            except BROKEN as error:
                raise DataError(
                    f"Expected a whole, unencrypted zip or tar archive, but {archive} cannot be unpacked"
                    f" ({_reason(error)}): fetch it again."
                ) from error
    return folder


def _reason(error: Exception) -> str:
    if isinstance(error, CLASH):  # without the path of the scratch folder
        return f"{error.strerror}: a file and a folder of one name"
    return str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__


def _unpack(archive: Path, target: Path, limits: Limits) -> None:
    total, files = 0, 0
    allowed = max(limits.ratio_from, archive.stat().st_size * limits.ratio)
    for member in _as_archive_errors(_members(archive)):
        files += 1
        path = target / _safe(member, archive)
        if "__MACOSX" in path.parts:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as sink:
            for chunk in _as_archive_errors(_chunks(member)):
                total += len(chunk)
                if files > limits.files or total > min(limits.total, allowed):
                    raise DataError(
                        f"Expected an archive of images, but {archive} unpacks to over {total >> 20} MiB in {files}"
                        " files, as a decompression bomb does: unpack it yourself and give the folder."
                    )
                sink.write(chunk)


def _as_archive_errors(parts: Iterator[Part]) -> Iterator[Part]:
    """Turn errors of reading into errors of a broken archive; errors of writing are not caught here."""
    while True:
        try:
            part = next(parts, None)
        except OSError as error:
            raise zipfile.BadZipFile(error.strerror or str(error)) from error
        if part is None:
            return
        yield part


def _chunks(member: Member) -> Iterator[bytes]:
    with member.open() as source:
        while chunk := source.read(CHUNK):
            yield chunk


def _safe(member: Member, archive: Path) -> PurePosixPath:
    """The path of a member below the target.

    Not by `tarfile.data_filter`: there is none for zip files, it lets links pass and turns /etc/x into etc/x, where a
    data set with either is refused; modes and owners need no filter, for only a member's bytes are written.
    """
    path = PurePosixPath(member.name.replace("\\", "/"))
    if not member.plain:
        raise DataError(f"Expected only files in {archive}, but {member.name!r} is a link or a device: remove it.")
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in member.name:
        raise DataError(f"Expected paths inside {archive}, but {member.name!r} leads outside: do not trust this file.")
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
        raise DataError(f"Expected names of at most {LONGEST_NAME} bytes in {archive}, but one is longer: rename it.")
    return path


def _members(archive: Path) -> Iterator[Member]:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            for entry in packed.infolist():
                if entry.flag_bits & 1:
                    raise zipfile.BadZipFile("it is encrypted")
                if not entry.is_dir():
                    kind = stat.S_IFMT(entry.external_attr >> 16)  # 0 where the archive was not made on Unix
                    yield Member(entry.filename, kind in (0, stat.S_IFREG), partial(packed.open, entry))
    else:
        with _Bytes(archive) as file, tarfile.open(fileobj=cast("IO[bytes]", file), mode="r:") as tape:
            while item := file.header_of(tape):
                if not item.isdir():
                    yield Member(item.name, item.isfile(), partial(_opened, tape, item))


class _Bytes:
    """An unpacked tar file that lets tarfile read only so much of each header, which it keeps in memory."""

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
        """Read at most so many bytes; a header that is too long is an error."""
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
