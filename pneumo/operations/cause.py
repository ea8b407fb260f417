"""Whether to train again: what the last successful run was made of, and what has changed since."""

import json
from collections.abc import Mapping
from typing import Any

from pneumo.cache import code_version, stage_key
from pneumo.settings import Settings
from pneumo.stages import Record
from pneumo.tracking import Tracker

CODE = ("data", "training", "evaluation", "registry", "serving", "tracking", "stages.py")
JUDGES = ("gate", "promotion", "registry", "external")  # settings that can change what a run comes to
# What a run is made of, by the tag that keeps its digest; the words say what differs.
PARTS = {
    "cause.data": "the data set",
    "cause.recipe": "the parameters",
    "cause.settings": "the settings",
    "cause.code": "the code",
}
RECIPE, SOURCE, INVENTORY = "recipe", "data.source", "inventory"
RECENT = 200  # runs that are looked through for one of a source


class Success(Record):
    """A run that came to its end with every backbone; `recipe` are its parameters, `parts` its digests.

    `inventory` is the key of what its source held, files that were taken out included.
    """

    run_id: str
    name: str
    inventory: str
    recipe: dict[str, Any]
    parts: dict[str, str]


def tags(digest: str, inventory: str, recipe: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """What a successful run leaves for `cause`.

    Args:
        digest: of the data set version.
        inventory: key of what the source held.
        recipe: the flow's parameters.
        settings: those in force.
    """
    judges = settings.model_dump(mode="json", include=set(JUDGES))
    parts = (digest, stage_key("recipe", **recipe), stage_key("settings", **judges), code_version(*CODE))
    return {RECIPE: json.dumps(dict(recipe)), INVENTORY: inventory, **dict(zip(PARTS, parts, strict=True))}


def last_success(tracker: Tracker, source: str | None) -> Success | None:
    """The newest successful run of a source; without one the newest on real images, then on drawn ones."""
    runs = [run for run in tracker.newest({"stage": "pipeline"}, limit=RECENT) if PARTS.keys() <= run.tags.keys()]
    if source:
        runs = [run for run in runs if run.tags.get(SOURCE) == source]
    runs.sort(key=lambda run: run.tags.get("synthetic") == "true")  # stable: newest first within each
    if not runs:
        return None
    found, recipe = runs[0], json.loads(runs[0].tags[RECIPE])
    parts = {name: found.tags[name] for name in PARTS}
    return Success(run_id=found.run_id, name=found.name, inventory=found.tags[INVENTORY], recipe=recipe, parts=parts)


def cause(last: Success, digest: str, settings: Settings) -> str:
    """What differs from the last successful run, in words; empty if nothing does."""
    now = tags(digest, last.inventory, last.recipe, settings)
    return ", ".join(words for name, words in PARTS.items() if now[name] != last.parts[name])
