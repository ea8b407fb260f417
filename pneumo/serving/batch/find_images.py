"""Find the images to score: files, folders, s3:// and dicomweb:// addresses."""

import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from pneumo.data.dicomweb.address import is_dicomweb
from pneumo.data.object_storage import Bucket, Item
from pneumo.data.sources import dicomweb
from pneumo.data.sources.folders import walk_all
from pneumo.data.store.decode import SUFFIXES, read_bytes, require_size
from pneumo.errors import DataError
from pneumo.settings.data import Data

CONNECTIONS = 16
STEP = 256  # images in a step: a cut loses one step at most
STEP_BYTES = 64 * 2**20  # bytes of a step in memory, unless one image alone is larger


class Content(NamedTuple):
    """An image's bytes and their sha256; if it cannot be read both are empty, and `error` says why."""

    data: bytes
    sha256: str
    error: str | None = None


@dataclass(frozen=True)
class Found:
    """An image to score: a local file, or the `item` of a bucket; with an `error`, only its own row is lost.

    `file` is the copy here of an image whose `path` is its address in an archive.
    """

    path: str
    bucket: Bucket | None = None
    item: Item | None = None
    error: str | None = None
    file: Path | None = None

    def size(self) -> int:
        """Its bytes; 0 if they are not known, in which case reading it tells why."""
        if self.item:
            return self.item.size
        try:
            return (self.file or Path(self.path)).stat().st_size
        except OSError:
            return 0

    def content(self) -> Content:
        """Read it now.

        Raises:
            DataError: its bucket does not answer.
        """
        if self.error:
            return Content(b"", "", self.error)
        try:
            require_size(self.size(), self.path)
            data = b"" if self.item else read_bytes(self.file or Path(self.path), self.path)
        except DataError as error:  # only its own row is lost
            return Content(b"", "", str(error))
        if self.bucket and self.item:
            data = self.bucket.get(self.item.key)
        return Content(data, sha256(data).hexdigest())


def find_images(paths: Sequence[str], data: Data, home: Path) -> list[Found]:
    """All images at the given places, each once; those of a folder are in order of name.

    Args:
        paths: image files (with any suffix), folders (searched below), s3://bucket/prefix, dicomweb://host/path?query.
        data: the S3 server, and what is asked of an archive.
        home: state folder, to which images of an archive are copied.

    Raises:
        DataError: a place does not exist, cannot be reached, or there is no image at all.
    """
    found = {(item.path, item.error): item for path in paths for item in _at(str(path), data, home)}
    if not found:
        raise DataError(f"Expected images ({', '.join(SUFFIXES)}) at {', '.join(map(str, paths))}, found none.")
    return list(found.values())


def steps(found: Sequence[Found]) -> Iterator[list[Found]]:
    """The images in order, as many in a step as `STEP` and `STEP_BYTES` allow."""
    step: list[Found] = []
    held = 0
    for item in found:
        size = item.size()
        if step and (len(step) == STEP or held + size > STEP_BYTES):
            yield step
            step, held = [], 0
        step.append(item)
        held += size
    if step:
        yield step


def fetch(step: Sequence[Found]) -> list[Content]:
    """Contents of a step's images, several read at the same time."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(Found.content, step))


def _at(path: str, data: Data, home: Path) -> Iterator[Found]:
    if is_dicomweb(path):
        address, copies = dicomweb.mirror(path, home, data)
        yield from (Found(f"{address.shown}/{one.instance.path}", error=one.error, file=one.file) for one in copies)
    elif path.startswith("s3://"):
        bucket = Bucket(path, data.s3_endpoint)
        items = (item for item in bucket.at_or_below() if _is_image(item.key.split("/")))
        yield from (Found(f"s3://{bucket.name}/{item.key}", bucket, item) for item in items)
    elif path and os.path.isdir(path):  # an empty path would be the working folder
        names = sorted(posixpath.join(*parts) for parts in walk_all(Path(path), Counter()) if _is_image(parts))
        yield from (_local(str(Path(path) / name)) for name in names)
    elif os.path.isfile(path):  # unlike that of pathlib, False for a path that is too long
        yield _local(path)
    else:
        raise DataError(
            "Expected an image file, a folder, s3://bucket/prefix or dicomweb://host/path, "
            f"but {path!r} does not exist: check it."
        )


def _local(path: str) -> Found:
    """A file. If its name is not UTF-8, which no table can hold, it has an error and its name with escapes."""
    shown = os.fsencode(path).decode(errors="backslashreplace")
    error = None if shown == path else f"Expected a name in UTF-8, but {shown} is not: rename it."
    return Found(shown, error=error)


def _is_image(parts: list[str]) -> bool:
    foreign = any(part.startswith(".") or part.lower() == "__macosx" for part in parts)
    return not foreign and posixpath.splitext(parts[-1])[1].lower() in SUFFIXES
