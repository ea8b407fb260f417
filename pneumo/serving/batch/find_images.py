"""Finding the images that someone wants scored: files, folders, s3:// addresses."""

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from pneumo.data.object_storage import Bucket
from pneumo.data.sources.folders import walk
from pneumo.data.store.decode import SUFFIXES, read_bytes
from pneumo.errors import DataError

CONNECTIONS = 16


class Content(NamedTuple):
    """What the model takes, a file's path or an object's bytes, and its hash; empty for what cannot be read."""

    cell: Path | bytes
    sha256: str


@dataclass(frozen=True)
class Found:
    """An image to be scored; in a bucket when `key` is given, else a local file."""

    path: str
    bucket: Bucket | None = None
    key: str = ""

    def content(self) -> Content:
        """What is there now."""
        if self.bucket:
            data = self.bucket.get(self.key)
            return Content(data, sha256(data).hexdigest())
        path = Path(self.path)
        try:
            return Content(path, sha256(read_bytes(path, self.path)).hexdigest())
        except DataError:  # the model says so in the image's row
            return Content(path, "")


def find_images(paths: Sequence[str], endpoint: str | None = None) -> list[Found]:
    """All images at the given places, each once, folders in order of name.

    Args:
        paths: image files (of any suffix), folders (searched below), s3://bucket/prefix.
        endpoint: of an S3 server other than AWS.

    Raises:
        DataError: a place does not exist, cannot be reached, or there is no image at all.
    """
    found = {item.path: item for path in paths for item in _at(str(path), endpoint)}
    if not found:
        raise DataError(f"Expected images ({', '.join(SUFFIXES)}) at {', '.join(map(str, paths))}, found none.")
    return list(found.values())


def fetch(batch: Sequence[Found]) -> list[Content]:
    """Contents of a batch, several at a time."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(Found.content, batch))


def _at(path: str, endpoint: str | None) -> Iterator[Found]:
    if path.startswith("s3://"):
        bucket = Bucket(path, endpoint)
        items = (item for item in bucket.list() if _is_image(item.key.split("/")))
        yield from (Found(f"s3://{bucket.name}/{item.key}", bucket, item.key) for item in items)
    elif Path(path).is_dir():
        names = sorted(posixpath.join(*parts) for parts in walk(Path(path), Counter()) if _is_image(parts))
        yield from (Found(str(Path(path) / name)) for name in names)
    elif Path(path).is_file():
        yield Found(path)
    else:
        raise DataError(f"Expected an image file, a folder or s3://bucket/prefix, but {path} does not exist: check it.")


def _is_image(parts: list[str]) -> bool:
    foreign = any(part.startswith(".") or part.lower() == "__macosx" for part in parts)
    return not foreign and posixpath.splitext(parts[-1])[1].lower() in SUFFIXES
