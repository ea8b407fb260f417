"""Old runs, models and versions in MLflow, as far as they are pneumo's own."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from pydantic import BaseModel, ValidationError

from pneumo.errors import TrackingError
from pneumo.monitoring.retraining import last_success
from pneumo.operations.retention.item import DAY, Item, Removal, Still
from pneumo.records.base import Record
from pneumo.settings import Settings
from pneumo.settings.unattended import Retention
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.models.registry import HISTORY, REGISTERED
from pneumo.tracking.runs import PARENT, Run
from pneumo.tracking.system import OURS

WATCH = "watch"
LATER = 1000  # runs, candidates among them, that are looked through for a newer one
MOST = 50_000  # runs that MLflow gives at once
IDS = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}")  # of logged models and runs, in the address of a version's files


class Needed(Record):
    """What house-keeping never deletes: versions by (model, number), runs and logged models by id, data by digest."""

    versions: frozenset[tuple[str, str]]
    runs: frozenset[str]
    digests: frozenset[str]


def needed(tracker: Tracker, settings: Settings) -> Needed:
    """Versions with an alias, the one before each, the shadow, the newest ones, and all that these depend on.

    Versions that pneumo did not register are all needed, whatever their name: their files may belong to a run here.
    """
    kept: list[ModelVersion] = []
    protected: list[ModelVersion] = []
    for name in _names(settings):
        versions = tracker.registry.versions(name)
        aliased = set(tracker.registry.aliases(name).values())
        before = {one.version for one, other in pairwise(versions) if other.version in aliased}
        shadow = {settings.serve.shadow}  # by its number; an alias is among the others
        protected += [version for version in versions if version.version in aliased | before | shadow]
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
    """Versions that pneumo registered and that nothing needs."""
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
    below: dict[str, list[Run]] = {}
    for run in tracker.runs.all():
        below.setdefault(run.tags.get(PARENT, ""), []).append(run)
    models = tracker.eraser.models_of_runs([tracker.runs.experiment_id])
    pipelines = [run for run in below.get("", ()) if _is_pipeline(run)]
    for run in pipelines[settings.retention.runs :]:  # newest first
        family = _family(run, lambda run_id: below.get(run_id, ()), lambda run_id: models.get(run_id, []))
        if _may_go(family, keep, settings.retention):
            item = Item(kind="run", name=f"{run.name} ({run.run_id})", days=_days(run.started))
            yield item, partial(_erase, tracker, settings, run.run_id)


class Member(Record):
    """A run of a family, and the logged models of its own."""

    run: Run
    models: list[str]


def _is_pipeline(run: Run) -> bool:
    return PARENT not in run.tags and _made(run) and run.tags.get("stage") != WATCH


def _may_go(family: list[Member], keep: Needed, limits: Retention) -> bool:
    """A run below which somebody put one of their own stays, with all of its family."""
    ids = {name for member in family for name in (member.run.run_id, *member.models)}
    run = family[0].run
    old = run.ended and _days(run.started) > limits.days
    return old and keep.runs.isdisjoint(ids) and all(_made(member.run) for member in family)


def _erase(tracker: Tracker, settings: Settings, run_id: str) -> bool:
    """Look once more, at this family alone: at all of them it would take as many looks as there are runs, squared."""
    run, limits = tracker.runs.active(run_id), settings.retention
    if run is None:
        return False
    later = tracker.runs.after(run.started, dict([OURS]), min(LATER * limits.runs, MOST))
    newer = [other for other in later if _is_pipeline(other)]
    experiment = [tracker.runs.experiment_id]
    family = _family(
        run, tracker.runs.below, lambda member: tracker.eraser.models_of_runs(experiment, member).get(member, [])
    )
    if len(newer) < limits.runs or not _may_go(family, needed(tracker, settings), limits):
        return False
    for member in reversed(family):  # the parent last: a kill in between leaves it to be found again
        tracker.eraser.erase_run(member.run.run_id, member.models)
    return True


def _family(run: Run, below: Callable[[str], Sequence[Run]], models: Callable[[str], list[str]]) -> list[Member]:
    """A run and all below it; children come after their parents."""
    children = (member for child in below(run.run_id) for member in _family(child, below, models))
    return [Member(run=run, models=models(run.run_id)), *children]


def _names(settings: Settings) -> tuple[str, str]:
    return settings.registry.model, settings.registry.phantom_model


def _ours(version: ModelVersion, settings: Settings) -> bool:
    return version.name in _names(settings) and REGISTERED in version.tags


def _made(run: Run) -> bool:
    return run.tags.get(OURS[0]) == OURS[1]


def _rested_on(versions: list[ModelVersion]) -> Iterator[str]:
    """Runs and logged models that hold the files of these versions, or led to them."""
    for version in versions:
        yield from (version.run_id, version.tags.get("pipeline.run", ""), *IDS.findall(version.source))


def _evidence(tracker: Tracker, settings: Settings, versions: list[ModelVersion]) -> Iterator[str]:
    """Runs that hold what was decided on these versions: a version that was taken up was made by another run."""
    numbers: dict[str, set[str]] = {}
    for version in versions:
        numbers.setdefault(version.name, set()).add(version.version)
    for name in _names(settings):
        for key, value in tracker.registry.registered(name).tags.items():
            if key.startswith(HISTORY) and (entry := _entry(key, value)).version in numbers.get(name, ()):
                yield from IDS.findall(entry.evidence)


class _Entry(BaseModel):
    """What house-keeping has to know of an entry of the history, whatever else is in it."""

    version: str
    evidence: str


def _entry(key: str, value: str) -> _Entry:
    try:
        return _Entry.model_validate_json(value)
    except ValidationError:
        raise TrackingError(
            f"Expected an entry of the history in the tag {key}, but it names no version and evidence: a newer pneumo"
            " may have written it, so nothing can be taken away here; install that one, or run this there."
        ) from None


def _days(seconds: float) -> float:
    return (time.time() - seconds) / DAY
