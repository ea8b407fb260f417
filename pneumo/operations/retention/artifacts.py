"""Artifacts in the store behind MLflow: what removed runs left, and what MLflow knows nothing of."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from pneumo.data.object_storage import Bucket
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

    @property
    def days(self) -> float:
        """Since the newest change."""
        return (time.time() - self.changed) / DAY


def left_artifacts(tracker: Tracker, settings: Settings) -> Iterator[Removal]:
    """Files of runs and models that house-keeping removed, as one that was killed may leave them."""
    place = access.artifact_store(settings)
    ids = _erased(tracker) if place else set()
    if place is None or not ids:
        return
    bucket = _bucket(place, settings)
    for group in _groups(place, bucket):
        if group.owner.id in ids and group.days > YOUNGEST:
            remove = partial(_delete, bucket, group) if bucket else partial(_unlink, Path(place), group)
            item = Item(kind="left artifacts", name=group.owner.folder, days=group.days, bytes=group.bytes)
            yield item, partial(_sweep, tracker, group.owner, remove)


def _sweep(tracker: Tracker, owner: Owner, remove: Callable[[], None]) -> bool:
    """Take an owner's files away, unless somebody has restored it meanwhile."""
    if owner.id not in _erased(tracker):
        return False
    remove()
    return True


def _erased(tracker: Tracker) -> set[str]:
    """Runs and models that house-keeping removed."""
    erased = tracker.eraser.erased([tracker.runs.experiment_id])
    return {*erased, *chain.from_iterable(erased.values())}


def unknown_artifacts(tracker: Tracker, settings: Settings) -> Iterator[Item]:
    """Files in MLflow's form whose run or model its database does not know, not even as deleted.

    They are told, never removed: to a database that was restored from an older copy, or is a new one, the newest models
    look the same. What is not in MLflow's form is not looked at.
    """
    place = access.artifact_store(settings)
    if place is None:
        return
    for group in _groups(place, _bucket(place, settings)):
        if group.days > YOUNGEST and not tracker.eraser.knows(group.owner):
            yield Item(kind="unknown artifacts", name=group.owner.folder, days=group.days, bytes=group.bytes)


def _bucket(place: str, settings: Settings) -> Bucket | None:
    return Bucket(place, settings.data.s3_endpoint) if place.startswith("s3://") else None


def _groups(place: str, bucket: Bucket | None) -> list[Group]:
    groups: dict[str, Group] = {}
    for path, name, size, changed in _objects(bucket) if bucket else _files(Path(place)):
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
