"""Items of filled checklists, and an external set."""

from pathlib import Path
from typing import Any

from pneumo.records.base import Interval
from pneumo.records.model import External
from pneumo.registry.dossier.checklists import fill
from pneumo.registry.dossier.facts import Facts
from pneumo.registry.dossier.item_answers import Answers


def item(facts: Facts, checklist: str, number: str) -> Any:
    return next(row for row in fill(checklist, facts, Answers(facts)).items if row.number == number)


def claim(facts: Facts, number: int) -> Any:
    return item(facts, "claim-2024", str(number))


def north(**changes: Any) -> External:
    interval = Interval(value=0.42, low=0.36, high=0.48)
    known: dict[str, Any] = {
        "name": "north", "source": "/data/north", "folder": Path("/data"), "images": 200, "errors": 0, "auc": interval,
        "sensitivity": interval, "specificity": interval, "out_of_distribution": 0.9, "metrics": {}, "slices": {},
        "generalises": False, "verdict": "Does not generalise: AUC 0.420 (0.360 to 0.480), 0.970 at home.",
    }  # fmt: skip
    return External(**known | changes)
