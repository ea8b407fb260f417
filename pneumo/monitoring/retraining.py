"""Whether to train again: what the champion's run depended on, what has changed since, and what was tried."""

import json
from collections.abc import Mapping
from typing import Any

from pneumo.cache import code_version, stage_key
from pneumo.operations.flow_runs.reconcile import REASON
from pneumo.records.base import Record
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.runs import Run

CODE = ("data", "training", "evaluation", "registry", "serving", "tracking", "records")
JUDGES = ("gate", "promotion", "registry", "external")  # settings that can change the result of a run
# What a run depends on, by the tag that holds its digest; the words name it in sentences.
PARTS = {
    "cause.data": "the data set",
    "cause.recipe": "the parameters",
    "cause.settings": "the settings",
    "cause.code": "the code or a library",
}
GIVEN = "cause.files"  # tag with the digest of the pretrained weights and embeddings; older runs lack it
CUT = ("cause.settings", "cause.code")  # settings and code by which the same files become a data set
RECIPE, SOURCE, INVENTORY, FILES = "recipe", "data.source", "inventory", "files"
RUN = "pipeline.run"  # tag of a version
TRIES = 3  # of runs that fail or die
RECENT = 200  # newest runs among which one of a source is searched


class RepeatableRun(Record):
    """A run that can be repeated; `recipe` holds its parameters, `parts` its digests.

    `inventory` is the key of all that its source held, quarantined files included. `files` are the digests of its
    pretrained weights and embeddings, None of a run that did not note them.
    """

    run_id: str
    name: str
    inventory: str
    recipe: dict[str, Any]
    parts: dict[str, str]
    files: dict[str, str] | None = None


def tags(
    digest: str, inventory: str, recipe: Mapping[str, Any], settings: Settings, files: Mapping[str, str]
) -> dict[str, str]:
    """Tags that a run sets before it trains, for `cause`.

    Args:
        digest: that of the dataset version.
        inventory: key of what the source held.
        recipe: parameters of the flow.
        settings: the settings in force.
        files: digest of each file that the recipe names beside the data, by its name in sentences.
    """
    judges = settings.model_dump(mode="json", include=set(JUDGES))
    parts = (digest, stage_key("recipe", **recipe), stage_key("settings", **judges), code_version(*CODE))
    given = {FILES: json.dumps(dict(files)), GIVEN: stage_key("files", files=dict(files))}
    return {RECIPE: json.dumps(dict(recipe)), INVENTORY: inventory, **dict(zip(PARTS, parts, strict=True)), **given}


def model_run(
    tracker: Tracker, settings: Settings, source: str | None, synthetic: bool | None = None
) -> RepeatableRun | None:
    """The run to repeat: the champion's, that of the source first, then that of real images.

    A later run is no better a recipe, also if it alone is of the source: it may have been a trial. Without a champion
    it is the newest success of the source. What suits drawn images is no recipe for real ones, nor the other way: with
    `synthetic` the champion is one of images like those of the source.
    """
    kinds = (False, True) if synthetic is None else (synthetic,)
    champions = [run for kind in kinds if (run := _champion_run(tracker, settings, kind))]
    champions.sort(key=lambda run: run.recipe["data"] != source)  # stable: real images first
    return champions[0] if champions else last_success(tracker, source)


def last_success(tracker: Tracker, source: str | None) -> RepeatableRun | None:
    """The newest successful run of a source; without one, the newest on real images, else on drawn ones."""
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
    read = {"recipe": json.loads(run.tags[RECIPE]), "files": json.loads(run.tags.get(FILES, "null"))}
    return RepeatableRun(run_id=run.run_id, name=run.name, inventory=run.tags[INVENTORY], parts=parts, **read)


def complete(recipe: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe completed for the parameters of a flow today, and its names that the flow no longer has."""
    known = {name: value for name, value in recipe.items() if name in defaults}
    return {**defaults, **known}, sorted(recipe.keys() - known.keys())


def is_cut_alike(last: RepeatableRun, inventory: str, settings: Settings) -> bool:
    """Whether the same files would give the same data set, because neither code nor settings have changed."""
    now = tags("", inventory, {}, settings, {})
    return inventory == last.inventory and all(now[name] == last.parts[name] for name in CUT)


def cause(last: RepeatableRun, now: Mapping[str, str]) -> str:
    """What differs from an earlier run, in words; empty if nothing does. `now` are the `tags` of a run today."""
    parts = [words for name, words in PARTS.items() if now[name] != last.parts[name]]
    return ", ".join(parts + _changed(last.files, json.loads(now[FILES])))


def _changed(before: Mapping[str, str] | None, now: Mapping[str, str]) -> list[str]:
    """Names of files that hold something else; what an older run did not note, or cannot be read now, is no cause."""
    return [] if before is None else [name for name, digest in now.items() if digest != before.get(name)]


def tried(tracker: Tracker, now: Mapping[str, str]) -> str:
    """A sentence on runs that depended on exactly the same; empty if there were none.

    One that ended is enough, even if a backbone failed or its model was refused: another would give the same. One that
    failed as a whole or died may have met an outage and is tried again, up to `TRIES` times.
    """
    same = {"stage": "pipeline", **{name: now[name] for name in (*PARTS, GIVEN)}}
    if done := tracker.runs.newest(same):
        return f"data, parameters, settings and code are those of {done[0].name}"
    failed = tracker.runs.newest(same, "FAILED", limit=TRIES)
    died = tracker.runs.newest({**same, "reason": REASON}, "KILLED", limit=TRIES)  # a cancellation does not count
    runs = sorted([*failed, *died], key=lambda run: run.started)
    if len(runs) < TRIES:
        return ""
    return f"{TRIES} runs with the same data, parameters, settings and code failed or died, {runs[-1].name} the last"
