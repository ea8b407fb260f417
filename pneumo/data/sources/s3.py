"""A local copy of somebody's S3 prefix: parallel, resumable, only what has changed is fetched."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath

from filelock import FileLock

from pneumo.cache import stage_key
from pneumo.data.files import whole, write_whole
from pneumo.data.object_storage import CONNECTIONS, Bucket, Item
from pneumo.data.sources import archives, label_files
from pneumo.data.store import decode
from pneumo.errors import DataError

WANTED = (*decode.SUFFIXES, *label_files.SUFFIXES)
BLOCK = 256


def mirror(url: str, home: Path, endpoint: str | None) -> Path:
    """Copy the images and label files below s3://bucket/prefix; returns the folder, or the file for a single archive.

    A file with the same ETag and size is kept; one that is gone from the server is removed.

    Raises:
        DataError: no access, no images there, or an object changed while it was read.
    """
    bucket = Bucket(url, endpoint)
    folder = home / "cache" / "s3" / stage_key("mirror", url=url, endpoint=endpoint)
    files = folder / "files"
    files.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        items = {item.key: item for item in bucket.at_or_below()}
        if bucket.prefix in items and archives.is_archive(Path(bucket.prefix)):
            return _update(bucket, [items[bucket.prefix]], files)[0]
        inside = [item for key, item in items.items() if key != bucket.prefix and key.lower().endswith(WANTED)]
        if not inside:
            raise DataError(f"Expected images below {url}, but there are none: check bucket, prefix and endpoint.")
        _update(bucket, inside, files)
    return files / bucket.key()


def _update(bucket: Bucket, items: list[Item], folder: Path) -> list[Path]:
    """Make the folder hold these items and no others; an index of complete files is written on the way."""
    index = _Index(folder.parent / "index.json")
    paths = {item.key: folder / _safe(item.key, bucket) for item in items}
    for key in index.known.keys() - paths.keys():
        (folder / key).unlink(missing_ok=True)
        del index.known[key]
    missing = iter([item for item in items if not index.has(item, paths[item.key])])

    def fetch(item: Item) -> Item:
        paths[item.key].parent.mkdir(parents=True, exist_ok=True)
        with whole(paths[item.key]) as scratch:
            fetch_to(scratch, item, bucket)
        return item

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while block := list(islice(missing, BLOCK)):
            index.add(pool.map(fetch, block))
    index.add(())
    return list(paths.values())


class _Index:
    """Which objects are complete on disk: ETag and size by key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.known: dict[str, list[str | int]] = json.loads(path.read_text()) if path.is_file() else {}

    def has(self, item: Item, path: Path) -> bool:
        return self.known.get(item.key) == [item.etag, item.size] and path.is_file()

    def add(self, items: Iterable[Item]) -> None:
        try:
            for item in items:
                self.known[item.key] = [item.etag, item.size]
        finally:  # what was fetched before an error is complete
            write_whole(self._path, json.dumps(self.known).encode())


def _safe(key: str, bucket: Bucket) -> str:
    parts = key.split("/")
    if PurePosixPath(key).is_absolute() or ".." in parts or "" in parts or "\0" in key:
        raise DataError(f"Expected plain keys in s3://{bucket.name}, but {key!r} leads outside: rename that object.")
    return key


def fetch_to(file: Path, item: Item, bucket: Bucket) -> None:
    """Fetch an object, whatever its size, in little memory; length and content are verified.

    By its MD5 where the ETag is one: it is not for objects put in parts or encrypted with a key.
    """
    length, md5 = bucket.save(item.key, file, item.etag)
    if length != item.size or (len(item.etag) == 32 and md5 != item.etag):
        raise DataError(
            f"Expected {item.size} bytes with ETag {item.etag} from s3://{bucket.name}/{item.key}, but got {length}"
            " others: it changed while it was read or the connection damages data; run again."
        )
