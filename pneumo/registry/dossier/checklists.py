"""Reporting checklists, filled: their items are tables in tables/, a row each."""

from collections import Counter
from importlib.resources import files
from typing import Any, get_args

from pydantic import Field

from pneumo.records.base import Record
from pneumo.registry.dossier.facts import Facts
from pneumo.registry.dossier.item_answers import Answers, Status

CHECKLISTS = ("claim-2024", "tripod-ai")
PIPELINE, PLACE = "pipeline: ", "place: "  # prefixes of evidence
NOTE = (
    "Items are numbered as in their source and named in words of this software's own: read each there. An item is"
    " answered by the run, not by people, who have to read and complete it; this is no statement of compliance."
)


class Item(Record):
    """An item: what it asks, the answers that it takes, what only people can say, where evidence lies."""

    number: str
    section: str
    asks: str
    answer: tuple[str, ...] = ()
    people: str = ""
    evidence: tuple[str, ...] = ()


class Checklist(Record):
    """A published checklist with the source of its items."""

    name: str
    title: str
    source: str
    items: tuple[Item, ...]


class Filled(Record):
    """An item with its answer; `evidence` are artifacts of the version's run, or of the one that is named."""

    number: str
    section: str
    asks: str
    status: Status
    answer: str
    for_people: str
    evidence: tuple[str, ...]


class FilledChecklist(Record):
    """A checklist filled for one version; `counts` is how many items have each status."""

    checklist: str
    title: str
    source: str
    note: str = NOTE
    registered_model: str
    version: str
    run: str
    pipeline_run: str
    dataset: str
    synthetic: bool
    counts: dict[str, int] = Field(description="By status")
    items: tuple[Filled, ...]


def read_table(name: str) -> Any:
    """A table of the folder tables/ by its name without .yaml."""
    import yaml

    return yaml.safe_load((files("pneumo.registry.dossier") / "tables" / f"{name}.yaml").read_text(encoding="utf-8"))


def fill(name: str, facts: Facts, answers: Answers) -> FilledChecklist:
    """Fill a checklist of `CHECKLISTS` for a version."""
    asked = Checklist.model_validate(read_table(name))
    items = tuple(_filled(item, facts, answers) for item in asked.items)
    found = Counter(item.status for item in items)
    return FilledChecklist(
        checklist=asked.name,
        title=asked.title,
        source=asked.source,
        registered_model=facts.model,
        version=facts.version,
        run=facts.run,
        pipeline_run=facts.pipeline,
        dataset=facts.data.digest,
        synthetic=facts.data.synthetic,
        counts={status: found[status] for status in get_args(Status)},
        items=items,
    )


def _filled(item: Item, facts: Facts, answers: Answers) -> Filled:
    answer = answers.of(item.answer, item.people)
    return Filled(
        number=item.number,
        section=item.section,
        asks=item.asks,
        status=answer.status,
        answer=answer.text,
        for_people=answer.people,
        evidence=tuple(_where(name, facts) for name in item.evidence if facts.place or not name.startswith(PLACE)),
    )


def _where(name: str, facts: Facts) -> str:
    if name.startswith(PIPELINE):
        return f"{name.removeprefix(PIPELINE)} of run {facts.pipeline}"
    return name.removeprefix(PLACE)
