"""What must be so before a backup is written or put back; each refusal is one sentence."""

from collections.abc import Sequence
from pathlib import Path

from pneumo.data.object_storage import Bucket
from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import access
from pneumo.operations.backup.contents import ANSWERED, SERVICE, Contents, StoredObject
from pneumo.operations.backup.databases import Database
from pneumo.settings import Settings


def require_outside(folder: Path, copied: Sequence[Path], store: str) -> None:
    """A backup inside what it copies would hold itself, and the next one that, too."""
    sources = copied if store.startswith("s3://") else [*copied, Path(store)]
    for source in sources:
        if folder.resolve().is_relative_to(source.resolve()):
            raise ServiceError(
                f"Expected a folder outside {source}, which is copied, but {folder} is in it: name another."
            )


def require_empty(home: Path, both: tuple[Database, Database], store: str) -> None:
    """Refuse a state folder, a folder of artifacts or a database that holds something."""
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


def require_place_of_answers(found: Contents, service: Path | None) -> None:
    """Refuse a backup with a service's answers without a place for them, and a place that has some."""
    if service is None and any(name.startswith(f"{SERVICE}/") for name in found.files):
        raise SettingsError(
            "Expected to know the state folder of the service whose answers are in the backup: name it by --service."
        )
    there = [service / name for name in ANSWERED if (service / name).exists()] if service else []
    if there:
        raise ServiceError(f"Expected no answers of a service yet, but {there[0]} is there: move it away.")


def require_same_kinds(found: Contents, both: tuple[Database, Database]) -> None:
    """Refuse databases of another kind than those of the backup."""
    here = {item.name: kind(item) for item in both}
    if here != found.databases:
        words = ", ".join(f"{name} in {known}" for name, known in found.databases.items())
        raise SettingsError(
            f"Expected the databases as in the backup ({words}), but here they are {here}: set their addresses."
        )


def require_objects(found: Contents, store: str, settings: Settings) -> None:
    """The listed objects must be in the bucket that MLflow is going to use."""
    if not found.objects:
        return
    there = {item.key: item.bytes for item in bucket_objects(store, settings) or ()}
    missing = [item.key for item in found.objects if there.get(item.key) != item.bytes]
    if missing:
        raise ServiceError(
            f"Expected in {store} the {len(found.objects)} artifacts that the backup lists, but {len(missing)} are "
            f"missing or differ, first {missing[0]}: restore the bucket first."
        )


def bucket_objects(store: str, settings: Settings) -> tuple[StoredObject, ...] | None:
    """The artifacts on S3, by their names below its prefix; None where they are in a folder."""
    if not store.startswith("s3://"):
        return None
    bucket = Bucket(store, settings.data.s3_endpoint)
    start = len(bucket.key())
    return tuple(StoredObject(key=item.key[start:], bytes=item.size) for item in bucket.at_or_below())


def kind(database: Database) -> str:
    """The kind of a database, as a backup names it."""
    return "postgres" if database.address else "sqlite"
