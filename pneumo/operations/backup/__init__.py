"""`pneumo backup` and `pneumo restore`: both databases, MLflow's artifacts, and the state that nothing can make again.

Registry, history and bars are in MLflow's database. The databases are copied first and the artifacts after them: what a
database names is there, unless house-keeping took it meanwhile.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pneumo.data.privacy.pseudonyms import KEY_FILE
from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import access
from pneumo.operations.backup import conditions, contents
from pneumo.operations.backup.contents import ANSWERED, CONTENTS, SERVICE, Contents
from pneumo.operations.backup.databases import find_databases
from pneumo.settings import Settings, settings_file
from pneumo.tracking.system import installed

# Below the state folder: the key of patients' pseudonyms, frozen data sets, summaries of runs, results of Prefect, and
# answers with what readers said of them.
STATE = (KEY_FILE, "cache/split", "runs", "prefect/storage", *ANSWERED)
HOME, ARTIFACTS, FILES, SETTINGS = "home", "artifacts", "databases", "settings"


def backup(settings: Settings, folder: Path, service: Path | None = None) -> Contents:
    """Write a backup: a new folder, complete or not there; servers and runs go on meanwhile.

    Args:
        settings: state folder and addresses.
        folder: the new folder.
        service: state folder of a service that keeps its answers elsewhere.

    Raises:
        ServiceError: the folder is not empty or inside what is copied, or a database cannot be read.
        SettingsError: the servers' places are not known here.
    """
    both, store = find_databases(settings), _artifact_store(settings)
    answered = [service / name for name in ANSWERED] if service else []
    conditions.require_outside(folder, [*(settings.home / name for name in STATE), *answered], store)
    with _new(folder) as scratch:
        (scratch / FILES).mkdir()
        for database in both:
            database.save(scratch / FILES)
        objects = conditions.bucket_objects(store, settings)
        if objects is None:
            contents.copied(Path(store), scratch / ARTIFACTS)
        for name in STATE:
            contents.copied(settings.home / name, scratch / HOME / name)
        for place in answered:
            contents.copied(place, scratch / SERVICE / place.name)
        contents.copied(settings_file(), scratch / SETTINGS / settings_file().name)
        found = Contents(
            made=datetime.now(UTC),
            version=installed("pneumo") or "",
            databases={item.name: conditions.kind(item) for item in both},
            artifacts=store,
            files=contents.listed(scratch),
            objects=objects or (),
        )
        (scratch / CONTENTS).write_text(found.model_dump_json(indent=1))
    return found


def restore(settings: Settings, folder: Path, service: Path | None = None) -> Contents:
    """Put a backup, checked by its digests, into an empty state folder and empty databases.

    Args:
        settings: state folder and addresses.
        folder: the backup.
        service: state folder of a service that keeps its answers elsewhere; it may hold other things.

    Raises:
        ServiceError: a file is not as it was written, something is there already, an object is missing on S3.
        SettingsError: the databases here are of another kind than those of the backup, or the place of the servers or
            of a service's answers is not known here.
    """
    found, both = contents.read(folder), find_databases(settings)
    conditions.require_same_kinds(found, both)
    store = _artifact_store(settings)
    conditions.require_empty(settings.home, both, store)
    conditions.require_place_of_answers(found, service)
    conditions.require_objects(found, store, settings)
    with ExitStack() as stack:
        scratch = stack.enter_context(_filled(settings.home))
        if service:
            contents.copied(folder / SERVICE, stack.enter_context(_filled(service)))
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
