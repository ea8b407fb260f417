"""Dataset versions on S3, packed: many images in one shard, an index for each shard, and a manifest for each version.

`shards/<hash>` holds files end to end, de-identified unless `data.storage_originals` is set. `index/<hash>` has a line
for each file: sha256 of the original, then length and sha256 of what is stored. An index of an earlier pneumo lacks the
last column and its shard holds originals. `versions/<digest>/` holds manifest and record. A shard is written before its
index, and a version last. `users/<digest>/<user>` is an empty object for each experiment whose runs use the version.

Shard and index are named by the hash of the index. The hash of the shard would not do: copies of different originals
can be equal, and then one index would overwrite another, as earlier versions of pneumo did.
"""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from pneumo.data.files import write_whole
from pneumo.data.object_storage import Bucket
from pneumo.data.store.decode import read_bytes
from pneumo.data.store.deidentified_copies import Copy, Held, pulled_folder
from pneumo.data.store.deidentify import deidentify
from pneumo.data.store.versions import MANIFEST, RECORD, digest_of, home_of, keep_version
from pneumo.errors import DataError
from pneumo.records.data import DatasetVersion
from pneumo.settings.data import Data

SHARD = 16 * 2**20  # bytes: large enough for full speed, small enough to hold several in memory
WORKERS = 8


class Stored(NamedTuple):
    """A file in a shard: sha256 of the original, length and sha256 of what is stored."""

    sha256: str
    bytes: int
    copy: str


def push(version: DatasetVersion, settings: Data) -> int:
    """Put a version on the storage and return how many images were sent; those that are there are not sent again.

    Raises:
        DataError: no storage is set or reachable, or a file has changed since ingest or cannot be
            de-identified.
    """
    bucket = bucket_of(settings)
    manifest = pd.read_parquet(version.manifest, columns=["path", "sha256", "bytes", "patient"])
    there = {file.sha256 for files in indexes(bucket).values() for file in files}
    missing = manifest[~manifest["sha256"].isin(there)].drop_duplicates("sha256")
    if missing.empty and stored(settings, version.digest):
        return 0
    shard_of = missing["bytes"].cumsum() // SHARD
    shards = [rows for _, rows in missing.groupby(shard_of)]
    held = Held(version.root, home_of(version))
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda rows: _put_shard(rows, version.root, held, bucket, settings.storage_originals), shards))
    record = {"source": version.source, "synthetic": version.synthetic}
    bucket.put(bucket.key("versions", version.digest, RECORD), json.dumps(record).encode())
    bucket.put(bucket.key("versions", version.digest, MANIFEST), version.manifest.read_bytes())
    return len(missing)


def mark_used(digest: str, user: str, settings: Data) -> None:
    """Note that an experiment uses a version, before it is pushed, so that no other's house-keeping deletes it.

    Args:
        digest: of the version.
        user: `Runs.identity` of the experiment.
        settings: storage and endpoint.
    """
    bucket = bucket_of(settings)
    bucket.put(bucket.key("users", digest, user), b"")


def stored(settings: Data, digest: str = "") -> list[str]:
    """Digests of the complete versions on the storage that begin with `digest`."""
    bucket = bucket_of(settings)
    keys = [item.key for item in bucket.list(bucket.below(f"versions/{digest}"))]
    return [key.split("/")[-2] for key in keys if key.endswith(f"/{MANIFEST}")]


def pull(digest: str, home: Path, settings: Data) -> DatasetVersion:
    """Fetch a version by the beginning of its digest: manifest and images, every byte verified.

    The digest verifies the manifest and originals; a copy is verified by the index that was written with it.

    Raises:
        DataError: there is not exactly one such version, or what is there does not match its hashes.
    """
    bucket, found = bucket_of(settings), stored(settings, digest)
    if len(found) != 1:
        raise DataError(
            f"Expected one version {digest!r} in {bucket.url}, but {len(found)} match: push it where it was made,"
            " or give more of its digest."
        )
    digest = found[0]
    content = bucket.get(bucket.key("versions", digest, MANIFEST))
    record = json.loads(bucket.get(bucket.key("versions", digest, RECORD)))
    root = pulled_folder(home, digest)
    manifest = pd.read_parquet(io.BytesIO(content))
    if digest_of(manifest) != digest:
        raise DataError(
            f"Expected version {digest} in {bucket.url}, but its manifest has another digest: push it again."
        )
    _pull_files(manifest, root, home, bucket)
    return keep_version(manifest, record["source"], record["synthetic"], root, home)


def _pull_files(manifest: pd.DataFrame, root: Path, home: Path, bucket: Bucket) -> None:
    """Fetch the shards of the files that are not here yet; a file under its final name is complete."""
    held, wanted = Held(root, home), dict[str, list[str]]()
    for path, sha256, size in manifest[["path", "sha256", "bytes"]].itertuples(index=False):
        target = root / _inside(path)
        if not (target.is_file() and target.stat().st_size == held.bytes(path, sha256, size)):
            wanted.setdefault(sha256, []).append(path)
    if not wanted:
        return
    packed = indexes(bucket)
    chosen = {file.sha256: (name, file) for name, files in packed.items() for file in files if file.sha256 in wanted}
    if lost := wanted.keys() - chosen.keys():
        raise DataError(
            f"Expected all images of the version in {bucket.url}, but {len(lost)} are not there: push again."
        )
    found = [(path, file) for sha256, (_, file) in chosen.items() for path in wanted[sha256]]
    held.add({path: Copy(file.sha256, file.copy, file.bytes) for path, file in found if file.copy != file.sha256})
    targets = {choice: [root / path for path in wanted[sha256]] for sha256, choice in chosen.items()}
    with ThreadPoolExecutor(WORKERS) as pool:
        names = {name for name, _ in targets}
        list(pool.map(lambda name: _get_shard(name, packed[name], targets, bucket), names))


def _put_shard(rows: pd.DataFrame, root: Path, held: Held, bucket: Bucket, originals: bool) -> None:
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


def _get_shard(name: str, files: list[Stored], targets: dict[tuple[str, Stored], list[Path]], bucket: Bucket) -> None:
    content, offset = bucket.get(bucket.key("shards", name)), 0
    for file in files:
        data, offset = content[offset : offset + file.bytes], offset + file.bytes
        for target in targets.get((name, file), ()):
            _require_hash(data, file.copy, f"{target.name} in shard {name}")
            write_whole(target, data)


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


def bucket_of(settings: Data) -> Bucket:
    """The bucket of dataset versions.

    Raises:
        DataError: data.storage is empty.
    """
    if not settings.storage:
        raise DataError("Expected a place for dataset versions, but data.storage in mlflow.yaml is empty: set s3://...")
    return Bucket(settings.storage, settings.s3_endpoint)


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise DataError(
            f"Expected paths inside the data set, but the manifest names {path!r}: do not trust this version."
        )
    return path


def _require_hash(data: bytes, sha256: str, name: str) -> None:
    if _sha256(data) != sha256:
        raise DataError(f"Expected {name} as the manifest describes it, but its content is another: read it anew.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
