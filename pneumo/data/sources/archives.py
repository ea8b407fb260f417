"""Zip and tar archives, treated as hostile: nothing is written outside the target, and sizes are limited."""

import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.data.file_cache import Stamp
from pneumo.data.sources.archive_members import CHUNK, Member, entries, is_zip, members
from pneumo.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CLASH = (NotADirectoryError, IsADirectoryError, FileExistsError)  # a file and a folder of the same name
BROKEN = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, struct.error,
    *CLASH,
)  # fmt: skip
LONGEST_NAME = 255  # bytes, of common file systems
Part = TypeVar("Part")


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; folders count as files, a tape's headers as bytes.

    The ratio of unpacked to packed size counts from `ratio_from` bytes on.
    """

    files: int = 1_000_000
    total: int = 200 * 2**30
    ratio: float = 100.0
    ratio_from: int = 64 * 2**20


def is_archive(path: Path) -> bool:
    """Whether a file has the name of an archive."""
    return path.name.lower().endswith(SUFFIXES)


def extract(archive: Path, home: Path, limits: Limits | None = None) -> Path:
    """Unpack an archive once and return the folder; an archive that has changed is unpacked again.

    Raises:
        DataError: it is broken or encrypted, or holds links, paths that lead outside, or more than the limits.
    """
    stamp = Stamp.of(archive)
    folder = home / "cache" / "archives" / stage_key("archive", path=archive, size=stamp.size, changed=stamp.changed_ns)
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
    if is_zip(archive):
        _require_fit(archive, 0, entries(archive), limits, allowed)
    for member in _as_archive_errors(members(archive)):
        files += 1
        _require_fit(archive, max(total, member.end), files, limits, allowed)
        if member.folder:
            continue
        path = target / _safe(member, archive)
        if "__MACOSX" in path.parts:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as sink:
            for chunk in _as_archive_errors(_chunks(member)):
                total += len(chunk)
                _require_fit(archive, total, files, limits, allowed)
                sink.write(chunk)


def _require_fit(archive: Path, total: int, files: int, limits: Limits, allowed: float) -> None:
    if files > limits.files or total > min(limits.total, allowed):
        raise DataError(
            f"Expected an archive of images, but {archive} unpacks to over {total >> 20} MiB in {files} files, as a"
            " decompression bomb does: unpack it yourself and give the folder."
        )


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
