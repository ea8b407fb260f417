"""Old runs, models and versions in MLflow, and artifacts that nothing there knows any more."""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

from pneumo.operations.cause import last_success
from pneumo.operations.retention.item import DAY, Item, Removal
from pneumo.settings import Retention, Settings
from pneumo.stages import Record
from pneumo.tracking import ModelVersion, Tracker

WATCH = "watch"


class Needed(Record):
    """What no house-keeping touches: versions by (model, number), runs, and data sets by digest."""

    versions: frozenset[tuple[str, str]]
    runs: frozenset[str]
    digests: frozenset[str]


def needed(tracker: Tracker, settings: Settings) -> Needed:
    """The aliased versions of both models, the one before each, the newest ones, and all that these rest on."""
    kept: list[ModelVersion] = []
    protected: list[ModelVersion] = []
    for name in (settings.registry.model, settings.registry.phantom_model):
        versions = tracker.versions(name)
        aliased = set(tracker.aliases(name).values())
        before = {one.version for one, other in pairwise(versions) if other.version in aliased}
        protected += [version for version in versions if version.version in aliased | before]
        kept += versions[-settings.retention.runs :]
        kept += [version for version in versions if _days(version.created) <= settings.retention.days]
    every = [*protected, *kept]
    last = last_success(tracker, None)
    runs = {version.run_id for version in every} | {version.tags.get("pipeline.run", "") for version in every}
    return Needed(
        versions=frozenset((version.name, version.version) for version in every),
        runs=frozenset(runs | ({last.run_id} if last else set())),
        digests=frozenset(version.tags.get("dataset.digest", "") for version in protected) - {""},
    )


def old_versions(tracker: Tracker, settings: Settings, keep: Needed) -> Iterator[Removal]:
    """Registered versions that nothing points at."""
    for name in (settings.registry.model, settings.registry.phantom_model):
        for version in tracker.versions(name):
            if (name, version.version) not in keep.versions:
                item = Item(kind="registered version", name=f"{name} {version.version}", days=_days(version.created))
                yield item, partial(tracker.delete_version, name, version.version)


def old_runs(tracker: Tracker, limits: Retention, keep: Needed) -> Iterator[Removal]:
    """Ended runs beyond the newest ones, each with its children, its models and their files."""
    runs = tracker.all_runs()
    models = tracker.models_of_runs([tracker.experiment_id])
    children: dict[str, list[str]] = {}
    for run in runs:
        children.setdefault(run.tags.get("mlflow.parentRunId", ""), []).append(run.run_id)
    parents = [run for run in runs if not run.tags.get("mlflow.parentRunId") and run.tags.get("stage") != WATCH]
    for run in parents[limits.runs :]:  # newest first
        family = [run.run_id, *children.get(run.run_id, ())]
        if _days(run.started) > limits.days and run.ended and not keep.runs.intersection(family):
            item = Item(kind="run", name=f"{run.name} ({run.run_id})", days=_days(run.started))
            yield item, partial(_erase, tracker, family, models)


def _erase(tracker: Tracker, family: list[str], models: Mapping[str, list[str]]) -> None:
    for run_id in reversed(family):  # the parent last: a kill in between leaves it to be found again
        tracker.erase_run(run_id, models.get(run_id, []))


def _days(seconds: float) -> float:
    return (time.time() - seconds) / DAY
