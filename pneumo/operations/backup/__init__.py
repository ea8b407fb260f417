"""`pneumo backup` and `pneumo restore`: both databases, MLflow's artifacts, and the state that nothing can make again.

Registry, history and bars are in MLflow's database. The databases are copied first and the artifacts after them: what a
database names is there, unless house-keeping took it meanwhile.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pneumo.data.object_storage import Bucket
from pneumo.data.sources.pseudonyms import KEY_FILE
from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import access
from pneumo.operations.backup import contents
from pneumo.operations.backup.contents import CONTENTS, Contents, StoredObject
from pneumo.operations.backup.databases import Database, find_databases
from pneumo.settings import Settings, settings_file
from pneumo.tracking.system import installed

# Below the state folder: the key of patients' pseudonyms, frozen data sets, summaries of runs, results of Prefect, and
# answers with what readers said of them.
STATE = (KEY_FILE, "cache/split", "runs", "prefect/storage", "answers", "feedback", "shadow")
HOME, ARTIFACTS, FILES, SETTINGS = "home", "artifacts", "databases", "settings"


def backup(settings: Settings, folder: Path) -> Contents:
    """Write a backup: a new folder, complete or not there; servers and runs go on meanwhile.

    Raises:
        ServiceError: the folder is not empty or inside what is copied, or a database cannot be read.
        SettingsError: the servers' places are not known here.
    """
    both, store = find_databases(settings), _artifact_store(settings)
    _require_outside(folder, [settings.home / name for name in STATE], store)
    with _new(folder) as scratch:
        (scratch / FILES).mkdir()
        for database in both:
            database.save(scratch / FILES)
        objects = _bucket_objects(store, settings)
        if objects is None:
            contents.copied(Path(store), scratch / ARTIFACTS)
        for name in STATE:
            contents.copied(settings.home / name, scratch / HOME / name)
        contents.copied(settings_file(), scratch / SETTINGS / settings_file().name)
        found = Contents(
            made=datetime.now(UTC),
            version=installed("pneumo") or "",
            databases={item.name: _kind(item) for item in both},
            artifacts=store,
            files=contents.listed(scratch),
            objects=objects or (),
        )
        (scratch / CONTENTS).write_text(found.model_dump_json(indent=1))
    return found


def restore(settings: Settings, folder: Path) -> Contents:
    """Put a backup, checked by its digests, into an empty state folder and empty databases.

    Raises:
        ServiceError: a file is not as it was written, something is there already, an object is missing on S3.
        SettingsError: the databases here are of another kind than those of the backup, or the servers' places are not
            known here.
    """
    found, both = contents.read(folder), find_databases(settings)
    _require_same_kinds(found, both)
    store = _artifact_store(settings)
    _require_empty(settings.home, both, store)
    _require_objects(found, store, settings)
    with _filled(settings.home) as scratch:
        if not found.objects:
            place = Path(store)
            inside = place.relative_to(settings.home) if place.is_relative_to(settings.home) else None
            contents.copied(folder / ARTIFACTS, scratch / inside if inside else place)
        contents.copied(folder / HOME, scratch)
        for database in both:
            if database.address:
                database.load(folder / FILES)
            else:
                own = database.file.is_relative_to(settings.home)
                place = scratch / database.file.relative_to(settings.home) if own else database.file
                contents.copied(folder / FILES / database.copy, place)
    return found


def _artifact_store(settings: Settings) -> str:
    store = access.artifact_store(settings)
    if store is None:
        raise SettingsError(
            f"Expected to know where MLflow keeps artifacts, but {access.ARTIFACTS} is not set: set it."
        )
    return store


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """A folder to write in, for its owner only, that takes the given name when it is complete."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ServiceError(f"Expected a new folder for the backup, but {folder} holds something: name another.")
    scratch = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir(mode=0o700)
        yield scratch
        os.replace(scratch, folder)
    except OSError as error:
        raise ServiceError(
            f"Expected to write a backup in {folder}, but {error.strerror or error}: free space, check"
            " rights, or name another folder."
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _filled(home: Path) -> Iterator[Path]:
    """A folder inside the state folder, which may be a mount; what is in it moves up when it is complete."""
    scratch = home / f".restoring-{uuid.uuid4().hex[:8]}"
    scratch.mkdir(parents=True, mode=0o700)
    try:
        yield scratch
        for item in sorted(scratch.iterdir()):
            os.replace(item, home / item.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_outside(folder: Path, copied: list[Path], store: str) -> None:
    """A backup inside what it copies would hold itself, and the next one that, too."""
    sources = copied if store.startswith("s3://") else [*copied, Path(store)]
    for source in sources:
        if folder.resolve().is_relative_to(source.resolve()):
            raise ServiceError(
                f"Expected a folder outside {source}, which is copied, but {folder} is in it: name another."
            )


def _require_empty(home: Path, both: tuple[Database, Database], store: str) -> None:
    if home.exists() and any(home.iterdir()):
        raise ServiceError(
            f"Expected an empty state folder to restore into, but {home} is not: set PNEUMO_HOME to a new one."
        )
    if not store.startswith("s3://") and Path(store).is_dir() and any(Path(store).iterdir()):
        raise ServiceError(
            f"Expected an empty folder for artifacts to restore into, but {store} is not: set {access.ARTIFACTS} to"
            " another."
        )
    for database in both:
        database.require_empty()


def _require_same_kinds(found: Contents, both: tuple[Database, Database]) -> None:
    here = {item.name: _kind(item) for item in both}
    if here != found.databases:
        words = ", ".join(f"{name} in {kind}" for name, kind in found.databases.items())
        raise SettingsError(
            f"Expected the databases as in the backup ({words}), but here they are {here}: set their addresses."
        )


def _require_objects(found: Contents, store: str, settings: Settings) -> None:
    """The listed objects must be in the bucket that MLflow is going to use."""
    if not found.objects:
        return
    there = {item.key: item.bytes for item in _bucket_objects(store, settings) or ()}
    missing = [item.key for item in found.objects if there.get(item.key) != item.bytes]
    if missing:
        raise ServiceError(
            f"Expected in {store} the {len(found.objects)} artifacts that the backup lists, but {len(missing)} are "
            f"missing or differ, first {missing[0]}: restore the bucket first."
        )


def _bucket_objects(store: str, settings: Settings) -> tuple[StoredObject, ...] | None:
    """The artifacts on S3, by their names below its prefix; None where they are in a folder."""
    if not store.startswith("s3://"):
        return None
    bucket = Bucket(store, settings.data.s3_endpoint)
    start = len(bucket.key())
    return tuple(StoredObject(key=item.key[start:], bytes=item.size) for item in bucket.at_or_below())


def _kind(database: Database) -> str:
    return "postgres" if database.address else "sqlite"
