"""Whether to train again: what the champion's run was made of, what has changed since, and what was tried."""

import json
from collections.abc import Mapping
from typing import Any

from pneumo.cache import code_version, stage_key
from pneumo.operations.reconcile import REASON
from pneumo.records.base import Record
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.runs import Run

CODE = ("data", "training", "evaluation", "registry", "serving", "tracking", "records")
JUDGES = ("gate", "promotion", "registry", "external")  # settings that can change what a run comes to
# What a run is made of, by the tag that keeps its digest; the words say what differs.
PARTS = {
    "cause.data": "the data set",
    "cause.recipe": "the parameters",
    "cause.settings": "the settings",
    "cause.code": "the code or a library",
}
CUT = ("cause.settings", "cause.code")  # what the same files are cut by
RECIPE, SOURCE, INVENTORY = "recipe", "data.source", "inventory"
RUN = "pipeline.run"  # tag of a version
TRIES = 3  # of runs that fail or die
RECENT = 200  # runs that are looked through for one of a source


class RepeatableRun(Record):
    """A run that can be repeated; `recipe` are its parameters, `parts` its digests.

    `inventory` is the key of what its source held, files that were taken out included.
    """

    run_id: str
    name: str
    inventory: str
    recipe: dict[str, Any]
    parts: dict[str, str]


def tags(digest: str, inventory: str, recipe: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """What a run leaves for `cause`, before it trains.

    Args:
        digest: of the data set version.
        inventory: key of what the source held.
        recipe: the flow's parameters.
        settings: those in force.
    """
    judges = settings.model_dump(mode="json", include=set(JUDGES))
    parts = (digest, stage_key("recipe", **recipe), stage_key("settings", **judges), code_version(*CODE))
    return {RECIPE: json.dumps(dict(recipe)), INVENTORY: inventory, **dict(zip(PARTS, parts, strict=True))}


def model_run(tracker: Tracker, settings: Settings, source: str | None) -> RepeatableRun | None:
    """The run to repeat: the champion's, that of the source first, then that of real images.

    A later run is no better a recipe, also if it alone is of the source: it may have been a trial. Without a champion
    it is the newest success of the source.
    """
    champions = [run for synthetic in (False, True) if (run := _champion_run(tracker, settings, synthetic))]
    champions.sort(key=lambda run: run.recipe["data"] != source)  # stable: real images first
    return champions[0] if champions else last_success(tracker, source)


def last_success(tracker: Tracker, source: str | None) -> RepeatableRun | None:
    """The newest successful run of a source; without one the newest on real images, then on drawn ones."""
    runs = [run for run in tracker.runs.newest({"stage": "pipeline"}, limit=RECENT) if PARTS.keys() <= run.tags.keys()]
    if source:
        runs = [run for run in runs if run.tags.get(SOURCE) == source]
    runs.sort(key=lambda run: run.tags.get("synthetic") == "true")  # stable: newest first within each
    return _success(runs[0]) if runs else None


def _champion_run(tracker: Tracker, settings: Settings, synthetic: bool) -> RepeatableRun | None:
    name = settings.model_name(synthetic)
    number = tracker.registry.alias(name, settings.registry.champion)
    found = tracker.registry.version(name, number) if number else None
    run = tracker.runs.find(found.tags[RUN]) if found and RUN in found.tags else None
    return _success(run) if run and PARTS.keys() <= run.tags.keys() else None


def _success(run: Run) -> RepeatableRun:
    parts = {name: run.tags[name] for name in PARTS}
    recipe = json.loads(run.tags[RECIPE])
    return RepeatableRun(run_id=run.run_id, name=run.name, inventory=run.tags[INVENTORY], recipe=recipe, parts=parts)


def complete(recipe: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe for the parameters that a flow has today, and the names in it that none of them has any more."""
    known = {name: value for name, value in recipe.items() if name in defaults}
    return {**defaults, **known}, sorted(recipe.keys() - known.keys())


def is_cut_alike(last: RepeatableRun, inventory: str, settings: Settings) -> bool:
    """Whether the same files would come to the same data set again: neither code nor settings have changed since."""
    now = tags("", inventory, {}, settings)
    return inventory == last.inventory and all(now[name] == last.parts[name] for name in CUT)


def cause(last: RepeatableRun, now: Mapping[str, str]) -> str:
    """What differs from an earlier run, in words; empty if nothing does. `now` are the `tags` of a run of today."""
    return ", ".join(words for name, words in PARTS.items() if now[name] != last.parts[name])


def tried(tracker: Tracker, now: Mapping[str, str]) -> str:
    """Words on runs that were made of the very same; empty if there were none.

    One that came to its end is enough, also if a backbone failed in it or its model was refused: another would come to
    the same. One that failed as a whole or died may have met with an outage and is tried again, up to `TRIES` times.
    """
    same = {"stage": "pipeline", **{name: now[name] for name in PARTS}}
    if done := tracker.runs.newest(same):
        return f"data, parameters, settings and code are those of {done[0].name}"
    failed = tracker.runs.newest(same, "FAILED", limit=TRIES)
    died = tracker.runs.newest({**same, "reason": REASON}, "KILLED", limit=TRIES)  # a person's cancellation is no try
    runs = sorted([*failed, *died], key=lambda run: run.started)
    if len(runs) < TRIES:
        return ""
    return f"{TRIES} runs with the same data, parameters, settings and code failed or died, {runs[-1].name} the last"
