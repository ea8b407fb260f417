"""Old objects on S3: dataset versions, shards that no version needs, and files of trainings on other machines."""

import io
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

import pandas as pd

from pneumo.data.object_storage import Bucket, Item
from pneumo.data.store import packs, shards
from pneumo.data.store.versions import MANIFEST
from pneumo.settings.data import Data


@dataclass(frozen=True)
class Surplus:
    """Objects that can be deleted together; `keys` in the order of deletion.

    For a version, `mark` is the key of the note that this experiment uses it. For a shard, `versions` are the digests
    of the stored versions that do not need it; any other version may.
    """

    name: str
    keys: tuple[str, ...]
    bytes: int
    changed: datetime
    mark: str | None = None
    versions: frozenset[str] | None = None


def surplus(
    settings: Data, user: str, keep: Collection[str], newest: int, before: datetime
) -> tuple[list[Surplus], list[Surplus]]:
    """Versions of this experiment older than `before` beyond the `newest`, and the shards that no other version needs.

    Args:
        settings: storage and endpoint.
        user: `Runs.identity` of the experiment; what it has not used belongs to others.
        keep: digests of versions that stay in any case.
        newest: how many of the newest versions stay.
        before: what was written after this time stays.
    """
    bucket = packs.bucket_of(settings)
    versions = _versions(bucket)
    own = {digest for digest, users in _users(bucket).items() if user in users} & versions.keys()
    ordered = sorted(own, key=lambda digest: _changed(versions[digest]), reverse=True)
    old = [digest for digest in ordered[newest:] if digest not in keep and _changed(versions[digest]) < before]
    stay = frozenset(versions) - frozenset(old)
    needed = set().union(*(_images(bucket, digest) for digest in stay))
    doomed = [replace(_surplus(one, versions[one]), mark=bucket.key("users", one, user)) for one in old]
    alone = [replace(shard, versions=stay) for shard in _unneeded(bucket, needed) if shard.changed < before]
    return doomed, alone


def remove(settings: Data, doomed: Surplus) -> bool:
    """Delete the objects, unless one was written again meanwhile or a version that may need them is there.

    A version that another experiment uses too loses this one's mark only.
    """
    bucket = packs.bucket_of(settings)
    now = (item for key in doomed.keys for item in bucket.list(key.removeprefix(bucket.prefix)))
    if any(item.changed > doomed.changed for item in now):
        return False
    if doomed.versions is not None and not doomed.versions.issuperset(packs.stored(settings)):
        return False
    alone = not doomed.mark or len(_users(bucket, doomed.name)[doomed.name]) == 1
    for key in doomed.keys if alone else ():
        bucket.delete(key)
    if doomed.mark:
        bucket.delete(doomed.mark)
    return alone


def old_trainings(settings: Data, before: datetime) -> list[Surplus]:
    """Candidates and checkpoints that trainings on other machines left on the storage."""
    bucket = packs.bucket_of(settings)
    found: dict[str, list[Item]] = {}
    for folder in ("train/", "checkpoints/"):
        root = bucket.key(folder)
        for item in bucket.list(bucket.below(folder)):
            found.setdefault(item.key.removeprefix(root).split("/")[0], []).append(item)
    groups = [_surplus(name, items) for name, items in found.items()]
    return [group for group in groups if group.changed < before]


def _versions(bucket: Bucket) -> dict[str, list[Item]]:
    """Objects by version, the manifest first: without its manifest a version is not listed."""
    found: dict[str, list[Item]] = {}
    for item in bucket.list(bucket.below("versions/")):
        found.setdefault(item.key.split("/")[-2], []).append(item)
    complete = {digest: items for digest, items in found.items() if any(_is_manifest(item) for item in items)}
    return {digest: sorted(items, key=lambda item: not _is_manifest(item)) for digest, items in complete.items()}


def _users(bucket: Bucket, digest: str = "") -> dict[str, set[str]]:
    """Experiments that use each version whose digest begins with `digest`."""
    found: dict[str, set[str]] = {}
    for item in bucket.list(bucket.below(f"users/{digest}")):
        version, user = item.key.split("/")[-2:]
        found.setdefault(version, set()).add(user)
    return found


def _is_manifest(item: Item) -> bool:
    return item.key.endswith(f"/{MANIFEST}")


def _images(bucket: Bucket, digest: str) -> set[str]:
    content = bucket.get(bucket.key("versions", digest, MANIFEST))
    return set(pd.read_parquet(io.BytesIO(content), columns=["sha256"])["sha256"])


def _unneeded(bucket: Bucket, needed: set[str]) -> list[Surplus]:
    """Shards without a needed image; the index is deleted first, as it was written last."""
    held = shards.indexes(bucket)
    there = {item.key.rpartition("/")[2]: item for item in bucket.list(bucket.below("shards/"))}
    indexes = {item.key.rpartition("/")[2]: item for item in bucket.list(bucket.below("index/"))}
    unneeded = [name for name in there if not any(file.sha256 in needed for file in held.get(name, ()))]
    return [_surplus(name, [item for item in (indexes.get(name), there[name]) if item]) for name in unneeded]


def _surplus(name: str, items: list[Item]) -> Surplus:
    return Surplus(name, tuple(item.key for item in items), sum(item.size for item in items), _changed(items))


def _changed(items: list[Item]) -> datetime:
    return max(item.changed for item in items)
