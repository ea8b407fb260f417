"""Old runs, models and versions in MLflow, as far as they are pneumo's own."""

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from pneumo.monitoring.retraining import last_success
from pneumo.operations.retention.item import DAY, Item, Removal, Still
from pneumo.records.base import Record
from pneumo.sections import Retention
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.models import HISTORY, REGISTERED
from pneumo.tracking.runs import PARENT, Run
from pneumo.tracking.system import OURS

WATCH = "watch"
IDS = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}")  # of logged models and runs, in the address of a version's files


class Needed(Record):
    """What no house-keeping touches: versions by (model, number), runs and logged models by id, data sets by digest."""

    versions: frozenset[tuple[str, str]]
    runs: frozenset[str]
    digests: frozenset[str]


def needed(tracker: Tracker, settings: Settings) -> Needed:
    """The aliased versions of both models, the one before each, the newest ones, and all that these rest on.

    Versions that pneumo did not register are all needed, under whatever name: their files may be those of a run here.
    """
    kept: list[ModelVersion] = []
    protected: list[ModelVersion] = []
    for name in _names(settings):
        versions = tracker.registry.versions(name)
        aliased = set(tracker.registry.aliases(name).values())
        before = {one.version for one, other in pairwise(versions) if other.version in aliased}
        protected += [version for version in versions if version.version in aliased | before]
        ours = [version for version in versions if _ours(version, settings)]
        kept += ours[-settings.retention.runs :]
        kept += [version for version in ours if _days(version.created) <= settings.retention.days]
    others = [version for version in tracker.registry.every_version() if not _ours(version, settings)]
    every = [*protected, *kept, *others]
    last = last_success(tracker, None)
    evidence = _evidence(tracker, settings, every)
    return Needed(
        versions=frozenset((version.name, version.version) for version in every),
        runs=frozenset({*_rested_on(every), *evidence, *([last.run_id] if last else ())}),
        digests=frozenset(version.tags.get("dataset.digest", "") for version in protected) - {""},
    )


def old_versions(tracker: Tracker, settings: Settings, keep: Needed, still: Still) -> Iterator[Removal]:
    """Versions that pneumo registered and that nothing points at."""
    for name in _names(settings):
        for version in tracker.registry.versions(name):
            if (name, version.version) not in keep.versions:
                item = Item(kind="registered version", name=f"{name} {version.version}", days=_days(version.created))
                yield item, partial(_delete, tracker, settings, version, still)


def _delete(tracker: Tracker, settings: Settings, version: ModelVersion, still: Still) -> bool:
    with still(version.name):
        if (version.name, version.version) in needed(tracker, settings).versions:
            return False
        tracker.registry.delete_version(version.name, version.version)
    return True


def old_runs(tracker: Tracker, settings: Settings, keep: Needed) -> Iterator[Removal]:
    """Ended runs of pneumo's beyond the newest ones, each with all below it, its models and their files."""
    for family in _old_families(tracker, settings.retention, keep):
        run = family.run
        item = Item(kind="run", name=f"{run.name} ({run.run_id})", days=_days(run.started))
        yield item, partial(_erase, tracker, settings, run.run_id)


class Family(Record):
    """A run, and the logged models of itself and of all runs below it, by run id; children come after their parents."""

    run: Run
    models: dict[str, list[str]]


def _old_families(tracker: Tracker, limits: Retention, keep: Needed) -> Iterator[Family]:
    """A run below which somebody put one of their own stays, with all of its family."""
    runs = tracker.runs.all()
    models = tracker.eraser.models_of_runs([tracker.runs.experiment_id])
    below: dict[str, list[Run]] = {}
    for run in runs:
        below.setdefault(run.tags.get(PARENT, ""), []).append(run)
    pipelines = [run for run in below.get("", ()) if _made(run) and run.tags.get("stage") != WATCH]
    for run in pipelines[limits.runs :]:  # newest first
        family = list(_family(run, below))
        ids = [member.run_id for member in family]
        rests = keep.runs.isdisjoint([*ids, *(model for run_id in ids for model in models.get(run_id, ()))])
        if rests and run.ended and _days(run.started) > limits.days and all(_made(member) for member in family):
            yield Family(run=run, models={run_id: models.get(run_id, []) for run_id in ids})


def _erase(tracker: Tracker, settings: Settings, run_id: str) -> bool:
    old = _old_families(tracker, settings.retention, needed(tracker, settings))
    family = next((family for family in old if family.run.run_id == run_id), None)
    if family is None:
        return False
    for member in reversed(family.models):  # the parent last: a kill in between leaves it to be found again
        tracker.eraser.erase_run(member, family.models[member])
    return True


def _family(run: Run, below: dict[str, list[Run]]) -> Iterator[Run]:
    yield run
    for child in below.get(run.run_id, ()):
        yield from _family(child, below)


def _names(settings: Settings) -> tuple[str, str]:
    return settings.registry.model, settings.registry.phantom_model


def _ours(version: ModelVersion, settings: Settings) -> bool:
    return version.name in _names(settings) and REGISTERED in version.tags


def _made(run: Run) -> bool:
    return run.tags.get(OURS[0]) == OURS[1]


def _rested_on(versions: list[ModelVersion]) -> Iterator[str]:
    """Runs and logged models that hold the files of these versions, or that came to them."""
    for version in versions:
        yield from (version.run_id, version.tags.get("pipeline.run", ""), *IDS.findall(version.source))


def _evidence(tracker: Tracker, settings: Settings, versions: list[ModelVersion]) -> Iterator[str]:
    """Runs that hold what was decided on these versions: a version that was taken up was made by another run."""
    numbers = {(version.name, version.version) for version in versions}
    for name in _names(settings):
        for key, value in tracker.registry.registered(name).tags.items():
            if key.startswith(HISTORY) and (name, (entry := json.loads(value))["version"]) in numbers:
                yield from IDS.findall(entry["evidence"])


def _days(seconds: float) -> float:
    return (time.time() - seconds) / DAY
