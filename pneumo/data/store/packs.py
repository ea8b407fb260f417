"""Dataset versions on S3: their images in shards (`shards.py`), and a manifest for each version.

`versions/<digest>/` holds manifest and record; a version is written after its shards, its manifest last.
`users/<digest>/<user>` is an empty object for each experiment whose runs use the version.
"""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pandas as pd

from pneumo.data.object_storage import Bucket
from pneumo.data.store import shards
from pneumo.data.store.deidentified_copies import Copy, Held, pulled_folder
from pneumo.data.store.versions import MANIFEST, RECORD, digest_of, home_of, keep_version
from pneumo.errors import DataError
from pneumo.records.data import DatasetVersion
from pneumo.settings.data import Data


def push(version: DatasetVersion, settings: Data) -> int:
    """Put a version on the storage and return how many images were sent; those that are there are not sent again.

    Its manifest is written in any case, since its age tells house-keeping when the version was last in use. What
    house-keeping deleted before it saw the manifest is sent again.

    Raises:
        DataError: no storage is set or reachable, or a file has changed since ingest or cannot be
            de-identified.
    """
    bucket, record = bucket_of(settings), {"source": version.source, "synthetic": version.synthetic}
    manifest = pd.read_parquet(version.manifest, columns=["path", "sha256", "bytes", "patient"])
    sent, missing = 0, _missing(manifest, bucket)
    for _ in range(2):
        _put_images(missing, version, bucket, settings.storage_originals)
        bucket.put(bucket.key("versions", version.digest, RECORD), json.dumps(record).encode())
        bucket.put(bucket.key("versions", version.digest, MANIFEST), version.manifest.read_bytes())
        sent, missing = sent + len(missing), _missing(manifest, bucket)
        if missing.empty:
            break
    return sent


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
    packed = shards.indexes(bucket)
    chosen = {file.sha256: (name, file) for name, files in packed.items() for file in files if file.sha256 in wanted}
    if lost := wanted.keys() - chosen.keys():
        raise DataError(
            f"Expected all images of the version in {bucket.url}, but {len(lost)} are not there: push again."
        )
    found = [(path, file) for sha256, (_, file) in chosen.items() for path in wanted[sha256]]
    held.add({path: Copy(file.sha256, file.copy, file.bytes) for path, file in found if file.copy != file.sha256})
    targets = {choice: [root / path for path in wanted[sha256]] for sha256, choice in chosen.items()}
    with ThreadPoolExecutor(shards.WORKERS) as pool:
        names = {name for name, _ in targets}
        list(pool.map(lambda name: shards.get(name, packed[name], targets, bucket), names))


def _missing(manifest: pd.DataFrame, bucket: Bucket) -> pd.DataFrame:
    """Rows of the images that no shard on the storage holds, each image once."""
    there = {file.sha256 for files in shards.indexes(bucket).values() for file in files}
    return manifest[~manifest["sha256"].isin(there)].drop_duplicates("sha256")


def _put_images(missing: pd.DataFrame, version: DatasetVersion, bucket: Bucket, originals: bool) -> None:
    groups = [rows for _, rows in missing.groupby(missing["bytes"].cumsum() // shards.SIZE)]
    held = Held(version.root, home_of(version))
    with ThreadPoolExecutor(shards.WORKERS) as pool:
        list(pool.map(lambda rows: shards.put(rows, version.root, held, bucket, originals), groups))


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
