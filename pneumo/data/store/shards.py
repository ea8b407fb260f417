"""Shards on S3: many images in one object, end to end, and an index for each.

`shards/<hash>` holds files, de-identified unless `data.storage_originals` is set. `index/<hash>` has a line for each:
sha256 of the original, then length and sha256 of what is stored. An index of an earlier pneumo lacks the last column,
and its shard holds originals. A shard is written before its index.

Both are named by the hash of the index. The hash of the shard would not do: copies of different originals can be equal,
and then one index would overwrite another, as earlier versions of pneumo did.
"""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pneumo.data.files import write_whole
from pneumo.data.object_storage import Bucket
from pneumo.data.store.decode import read_bytes
from pneumo.data.store.deidentified_copies import Held
from pneumo.data.store.deidentify import deidentify
from pneumo.errors import DataError

SIZE = 16 * 2**20  # bytes: large enough for full speed, small enough to hold several in memory
WORKERS = 8


class Stored(NamedTuple):
    """A file in a shard: sha256 of the original, length and sha256 of what is stored."""

    sha256: str
    bytes: int
    copy: str


def indexes(bucket: Bucket) -> dict[str, list[Stored]]:
    """The files in every shard, in order."""
    keys = [item.key for item in bucket.list(bucket.below("index/"))]
    with ThreadPoolExecutor(WORKERS) as pool:
        contents = pool.map(lambda key: bucket.get(key).decode(), keys)
    return {
        key.rpartition("/")[2]: [_stored(*line.split()) for line in content.splitlines()]
        for key, content in zip(keys, contents, strict=True)
    }


def _stored(sha256: str, length: str, copy: str = "") -> Stored:
    return Stored(sha256, int(length), copy or sha256)


def put(rows: pd.DataFrame, root: Path, held: Held, bucket: Bucket, originals: bool) -> None:
    """Write the files of some rows of a manifest (path, sha256, patient) as one shard, then its index.

    Args:
        rows: of the manifest.
        root: folder of the files.
        held: which of these files are copies of others.
        bucket: the storage.
        originals: whether files are stored as they are, with the identities in their headers.

    Raises:
        DataError: a file has changed since ingest or cannot be de-identified.
    """
    files = []
    for path, sha256, patient in rows[["path", "sha256", "patient"]].itertuples(index=False):
        data = read_bytes(root / path, path)
        _require_hash(data, held.sha256(path, sha256), path)
        files.append(data if originals else deidentify(data, path, patient))
    lines = [f"{sha256} {len(data)} {_sha256(data)}" for sha256, data in zip(rows["sha256"], files, strict=True)]
    index = "\n".join(lines).encode()
    name = _sha256(index)
    bucket.put(bucket.key("shards", name), b"".join(files))
    bucket.put(bucket.key("index", name), index)


def get(
    name: str, files: Sequence[Stored], targets: Mapping[tuple[str, Stored], Sequence[Path]], bucket: Bucket
) -> None:
    """Fetch a shard and write its wanted files to their places, each verified and whole.

    Args:
        name: of the shard.
        files: those in it, in order.
        targets: where a file of a shard goes; others are left out.
        bucket: the storage.

    Raises:
        DataError: a file has another hash than its index says.
    """
    content, offset = bucket.get(bucket.key("shards", name)), 0
    for file in files:
        data, offset = content[offset : offset + file.bytes], offset + file.bytes
        for target in targets.get((name, file), ()):
            _require_hash(data, file.copy, f"{target.name} in shard {name}")
            write_whole(target, data)


def _require_hash(data: bytes, sha256: str, name: str) -> None:
    if _sha256(data) != sha256:
        raise DataError(f"Expected {name} as the manifest describes it, but its content is another: read it anew.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
