"""House-keeping: find what is old and needed by nobody, and delete it.

Never deleted: a version that an alias points at and the one before it, their data sets, whatever is younger than a day,
the newest `retention.runs` of everything, and whatever pneumo did not make: runs, models and versions of others.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from pneumo.data.store import old_objects
from pneumo.operations import access
from pneumo.operations.prefect_api import TRAINING_QUEUE, UNDER_WAY, PrefectApi, address
from pneumo.operations.retention import artifacts, files, tracked
from pneumo.operations.retention.item import DAY, YOUNGEST, Item, Kind, Removal, Remove, Still
from pneumo.settings import Settings
from pneumo.tracking import Tracker


def plan(settings: Settings, still: Still) -> list[Removal]:
    """All that could be deleted, each with a function that checks once more, since hours may have passed, and deletes.

    While a training runs, caches and dataset versions stay, because it may be using them.

    Args:
        settings: limits and places.
        still: keeps promotions and rollbacks of a registered model away while one of its versions is deleted.

    Raises:
        ServiceError: Prefect does not answer.
        TrackingError: MLflow does not answer.
        DataError: data.storage cannot be reached.
    """
    tracker = Tracker.of(settings)
    api, limits = PrefectApi(address(settings)), settings.retention
    keep = tracked.needed(tracker, settings)
    found = [
        *tracked.old_versions(tracker, settings, keep, still),
        *tracked.old_runs(tracker, settings, keep),
        *artifacts.left_artifacts(tracker, settings),
        *files.long_logs(settings.home, limits),
    ]
    if not _training(api):
        digests = partial(_digests, tracker, settings)
        in_use = [
            *files.old_files(settings.home, limits, digests),
            *_old_data(settings, tracker.runs.identity, digests),
        ]
        found += [(item, partial(_between_trainings, api, remove)) for item, remove in in_use]
    return found


def unknown(settings: Settings) -> list[Item]:
    """What nobody seems to own: a person must judge it, and it is never deleted here."""
    return list(artifacts.unknown_artifacts(Tracker.of(settings), settings))


def words(items: list[Item], unknown: list[Item], outcome: str) -> str:
    """One line: what was found or deleted, and what is left for a person to judge."""
    told = f"{len(items)} things, {_mib(items)}: {outcome}"
    if not unknown:
        return told
    return f"{told}; {len(unknown)} folders of artifacts, {_mib(unknown)}, that MLflow does not know: left alone"


def apply(removals: list[Removal], settings: Settings) -> list[Item]:
    """Delete things in order; after a stop in the middle, the rest is found again the next time.

    Returns what was deleted; what has come to be needed since the plan stays.
    """
    gone = [item for item, remove in removals if remove()]
    purge(settings)
    return gone


def purge(settings: Settings) -> None:
    """Remove the runs that house-keeping deleted a day ago from MLflow's database, if it is known here.

    Raises:
        TrackingError: the database refused; the next house-keeping tries again.
    """
    database = access.database(settings)
    if database:
        tracker = Tracker.of(settings)
        tracker.eraser.forget_erased([tracker.runs.experiment_id], database, YOUNGEST * DAY)


def _mib(items: list[Item]) -> str:
    return f"{sum(item.bytes for item in items) / 2**20:.1f} MiB"


def _training(api: PrefectApi) -> bool:
    # A run that waits for approval is paused, and still needs its data.
    return any(run["work_queue_name"] == TRAINING_QUEUE for run in api.runs((*UNDER_WAY, "PAUSED")))


def _between_trainings(api: PrefectApi, remove: Remove) -> bool:
    return not _training(api) and remove()


def _digests(tracker: Tracker, settings: Settings) -> frozenset[str]:
    return tracked.needed(tracker, settings).digests


def _old_data(settings: Settings, user: str, digests: files.Digests) -> Iterator[Removal]:
    keep = digests()
    if not settings.data.storage or not keep:
        return  # without any champion the registry is new or another one, and it is not known what is needed
    now = datetime.now(UTC)
    before = now - timedelta(days=settings.retention.days)
    versions, shards = old_objects.surplus(settings.data, user, keep, settings.retention.runs, before)
    trainings = old_objects.old_trainings(settings.data, before)
    kinds: list[tuple[Kind, list[old_objects.Surplus]]] = [
        ("data version", versions),
        ("data shard", shards),
        ("training elsewhere", trainings),
    ]
    for kind, found in kinds:
        for one in found:
            days = (now - one.changed).total_seconds() / DAY
            yield Item(kind=kind, name=one.name, days=days, bytes=one.bytes), partial(_prune, settings, one, digests)


def _prune(settings: Settings, one: old_objects.Surplus, digests: files.Digests) -> bool:
    keep = digests()
    return bool(keep) and one.name not in keep and old_objects.remove(settings.data, one)
