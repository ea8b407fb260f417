"""Artifacts in the store behind MLflow that no run or model owns, as `mlflow gc` and killed runs leave them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pneumo.data.storage import Bucket
from pneumo.operations import access
from pneumo.operations.retention.item import DAY, YOUNGEST, Item, Removal
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.erase import Owner, owner_of


@dataclass
class Group:
    """The files of one owner: their names, bytes, and the newest change in seconds since 1970."""

    owner: Owner
    names: list[str] = field(default_factory=list)
    bytes: int = 0
    changed: float = 0.0


def left_artifacts(tracker: Tracker, settings: Settings) -> Iterator[Removal]:
    """Files of runs and models that MLflow does not know; others' files in the same place are not looked at."""
    place = access.artifact_store(settings)
    if place is None:
        return
    bucket = Bucket(place, settings.data.s3_endpoint) if place.startswith("s3://") else None
    files = _objects(bucket) if bucket else _files(Path(place))
    for group in _grouped(files):
        days = (time.time() - group.changed) / DAY
        if days > YOUNGEST and not tracker.exists(group.owner):
            item = Item(kind="left artifacts", name=group.owner.folder, days=days, bytes=group.bytes)
            yield item, partial(_delete, bucket, group) if bucket else partial(_unlink, Path(place), group)


def _grouped(files: Iterator[tuple[str, str, int, float]]) -> list[Group]:
    groups: dict[str, Group] = {}
    for path, name, size, changed in files:
        if owner := owner_of(path):
            group = groups.setdefault(owner.folder, Group(owner))
            group.names.append(name)
            group.bytes += size
            group.changed = max(group.changed, changed)
    return list(groups.values())


def _objects(bucket: Bucket) -> Iterator[tuple[str, str, int, float]]:
    root = f"{bucket.prefix.rstrip('/')}/".lstrip("/")
    for item in bucket.list():
        yield item.key.removeprefix(root), item.key, item.size, item.changed.timestamp()


def _files(root: Path) -> Iterator[tuple[str, str, int, float]]:
    for file in sorted(root.glob("*/**/*")):
        if file.is_file():
            status, name = file.stat(), file.relative_to(root).as_posix()
            yield name, name, status.st_size, status.st_mtime


def _delete(bucket: Bucket, group: Group) -> None:
    for key in group.names:
        bucket.delete(key)


def _unlink(root: Path, group: Group) -> None:
    for name in group.names:
        (root / name).unlink(missing_ok=True)
    for folder in sorted((root / group.owner.folder).rglob("*"), reverse=True):
        if folder.is_dir():
            folder.rmdir()
    (root / group.owner.folder).rmdir()
