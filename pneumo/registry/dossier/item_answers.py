"""What a run can answer to the items of the dossier: sentences of item_answers.j2, filled from its facts."""

from collections.abc import Sequence
from typing import Literal

from pneumo.data.quality.two_sample_test import sentences
from pneumo.records.base import ENSEMBLE, Record
from pneumo.registry import model_card
from pneumo.registry.acceptance.outcome import size_in_words
from pneumo.registry.dossier.facts import Facts

Status = Literal["answered", "answered in part", "not done", "not recorded", "open"]
# Answers that begin so say that there is no answer, and why.
NEGATIVE: dict[str, Status] = {"Not done:": "not done", "Not recorded:": "not recorded"}
OPEN = "Open, for people:"


class Answer(Record):
    """What a run says on an item, what people still have to say, and whether one of the two is missing."""

    status: Status
    text: str
    people: str

    def __str__(self) -> str:
        return " ".join(part for part in (self.text, f"{OPEN} {self.people}" if self.people else "") if part)


class Answers:
    """The answers of one version's facts, by their names in item_answers.j2."""

    def __init__(self, facts: Facts) -> None:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        pages = Environment(
            loader=PackageLoader("pneumo.registry.dossier", "tables"), undefined=StrictUndefined, trim_blocks=True
        )
        known = {
            "f": facts,
            "words": model_card.WORDS,
            "ensemble": ENSEMBLE,
            "numbers": list(model_card.numbers_of(facts.evaluation.metrics)),
            "slices": [row | {"group": row["name"].split()[0]} for row in model_card.slices_of(facts.evaluation)],
            "shortcuts": model_card.shortcuts_of(facts.evaluation.metrics),
            "audits": [sentence for audit in facts.audits for sentence in sentences(audit)],
            "size": size_in_words(facts.place.needs) if facts.place else "",
        }
        self.sentences = pages.get_template("item_answers.j2").make_module(known)

    def of(self, names: Sequence[str], people: str = "") -> Answer:
        """The answer under one or more names, and what people have to add.

        Raises:
            AttributeError: item_answers.j2 has no such name.
        """
        parts = [" ".join(str(getattr(self.sentences, name)()).split()) for name in names]
        text = " ".join(part for part in parts if part)
        return Answer(status=_status(text, people), text=text, people=people)


def _status(text: str, people: str) -> Status:
    if not text:
        return "open"
    negative = next((status for words, status in NEGATIVE.items() if text.startswith(words)), None)
    return negative or ("answered in part" if people else "answered")
