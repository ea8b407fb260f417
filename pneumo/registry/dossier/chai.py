"""The CHAI applied model card as XML, by schema v0.2 of the Coalition for Health AI (its repository mc-schema)."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from pneumo.records.base import Interval
from pneumo.registry import model_card
from pneumo.registry.dossier.checklists import read_table
from pneumo.registry.dossier.facts import Facts
from pneumo.registry.dossier.item_answers import Answers

NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
GROUPS = ("sex", "age")
Figures = Iterator[tuple[str, Interval | float | None]]


def write(facts: Facts, answers: Answers) -> str:
    """The card as an XML document; its texts are Markdown, as the schema's documentation allows."""
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(_tag("AppliedModelCard"))
    for name, content in read_table("chai").items():
        _add(root, name, content, facts, answers)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def fields(document: str) -> list[tuple[str, str]]:
    """The card's fields in order, as pairs of a path such as Warnings / ClinicalRiskLevel and a text."""
    return list(_leaves(ElementTree.fromstring(document), ()))  # noqa: S314 - `write` made it


def _leaves(parent: ElementTree.Element, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for child in parent:
        here = (*path, child.tag.partition("}")[2])
        if here[-1] == "MetricResult":
            label, value = (part.text or "" for part in child)
            yield " / ".join((*path, label)), _in_words(json.loads(value))
        elif len(child):
            yield from _leaves(child, here)
        else:
            yield " / ".join(here), child.text or ""


def _in_words(value: dict[str, Any]) -> str:
    if value["kind"] == "estimate_ci":
        return f"{Interval(value=value['estimate'], low=value['lower'], high=value['upper']):.3f}"
    return "no figure" if value["value"] is None else f"{value['value']:.3f}"


def _add(parent: ElementTree.Element, name: str, content: dict[str, Any], facts: Facts, answers: Answers) -> None:
    element = ElementTree.SubElement(parent, _tag(name))
    if "results" in content:
        for label, value in RESULTS[content["results"]](facts):
            result = ElementTree.SubElement(element, _tag("MetricResult"))
            _text(result, "Label", label)
            _text(result, "ValueJson", json.dumps(_value(value), separators=(",", ":")))
    elif "keywords" in content:
        for word in content["keywords"]:
            _text(element, "Keyword", word)
    elif "text" in content:
        element.text = content["text"]
    elif content.keys() <= {"answer", "people"}:
        element.text = _clean(str(answers.of(content.get("answer", ()), content.get("people", ""))))
    else:
        for child, inner in content.items():
            _add(element, child, inner, facts, answers)


def _text(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, _tag(name)).text = _clean(text)


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _clean(text: str) -> str:
    return NOT_IN_XML.sub("?", text)


def _value(found: Interval | float | None) -> dict[str, Any]:
    """A figure as the schema's own examples write it; null where there is none."""
    if isinstance(found, Interval):
        ends = {"lower": found.low, "upper": found.high} if found.estimated else {}
        return {"kind": "estimate_ci", "estimate": found.value, **ends, "level": 95} if ends else _value(found.value)
    return {"kind": "single", "value": found}


def _performance(facts: Facts) -> Figures:
    for row in model_card.numbers_of(facts.evaluation.metrics):
        yield f"{row['name']}, test images", row["interval"] or row["value"]


def _groups(facts: Facts) -> Figures:
    found = [row for row in model_card.slices_of(facts.evaluation) if row["name"].split()[0] in GROUPS]
    for row in found:
        yield f"ROC AUC, {row['name']}", row["auc"]
    if not found:
        yield "not done: ROC AUC by sex and age", None


def _reliability(facts: Facts) -> Figures:
    for row in model_card.slices_of(facts.evaluation):
        if row["name"].split()[0] not in GROUPS:
            yield f"ROC AUC, {row['name']}", row["auc"]
    for row in model_card.shortcuts_of(facts.evaluation.metrics):
        yield f"ROC AUC, {row['name']}", row["auc"]
    for item in facts.external:
        yield from _elsewhere(item)
    if facts.place and facts.place.after:
        yield from _elsewhere(facts.place.after, facts.place.name)
    if not (facts.external or facts.place):
        yield "not done: ROC AUC on images of another hospital", None


def _elsewhere(found: Any, name: str = "") -> Figures:
    for key in ("auc", "sensitivity", "specificity"):
        yield f"{model_card.NUMBERS[key]}, {name or found.name}", getattr(found, key)


RESULTS: dict[str, Callable[[Facts], Figures]] = {
    "performance": _performance,
    "groups": _groups,
    "reliability": _reliability,
}
