"""Every gate can refuse, in a promotion from end to end."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from pneumo.registry.course import Word
from pneumo.registry.gates import GATES
from pneumo.stages import Evaluation

QUERY, FAIRNESS = "registered version in a fresh process", "test images that the champion was trained on"
CONTEST, PERSON = "ROC AUC against the champion", "a person's word"


def limit(**policy: Any) -> Callable[[Any], Evaluation]:
    """A candidate that passes every gate but the one whose limit is moved."""

    def arrange(world: Any) -> Evaluation:
        world.policy(**policy)
        return world.candidate("candidate", noise=2.5)

    return arrange


def measured(**metrics: float) -> Callable[[Any], Evaluation]:
    def arrange(world: Any) -> Evaluation:
        good = world.candidate("candidate", noise=1.0)
        return good.model_copy(update={"metrics": good.metrics | metrics})

    return arrange


def answers_otherwise(world: Any) -> Evaluation:
    return world.candidate("candidate", noise=1.0, shift=0.01)


def champion_knows_every_test_image(world: Any) -> Evaluation:
    """The champion comes from a cut of the data in which today's test images were training images."""
    rows, today = pd.read_parquet(world.version.manifest), world.version
    swapped = rows.assign(split=rows["split"].replace({"train": "test", "test": "train"}))
    world.version = world.data_version(today.root, swapped)
    assert world.promote(world.candidate("champion", noise=3.0)).promoted
    world.version = today
    return world.candidate("candidate", noise=0.5)


def champion_is_better(world: Any) -> Evaluation:
    assert world.promote(world.candidate("champion", noise=0.5)).promoted
    return world.candidate("candidate", noise=3.0)


REFUSALS: dict[str, tuple[str, Callable[[Any], Evaluation]]] = {
    "auc": ("ROC AUC", limit(minimum_auc=1.0)),
    "sensitivity": ("sensitivity", limit(minimum_sensitivity=1.0)),
    "specificity": ("specificity", limit(minimum_specificity=1.0)),
    "calibration": ("calibration error", limit(maximum_calibration_error=0.0)),
    "slice": ("drop in the worst slice", limit(maximum_slice_drop=0.0)),
    "latency": ("latency of one image, ms", measured(latency_ms=501.0)),
    "size": ("model size, MB", measured(model_mb=501.0)),
    "query": (QUERY, answers_otherwise),
    "fairness": (FAIRNESS, champion_knows_every_test_image),
    "contest": (CONTEST, champion_is_better),
    "person": (PERSON, limit(approval=True)),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_gate_can_refuse(world: Any, refusal: str) -> None:
    name, arrange = REFUSALS[refusal]
    evaluation = arrange(world)
    before = world.aliases()["champion"]
    decision = world.promote(evaluation, approve=lambda rows, best: Word(approved=False, said="rejected by A"))
    assert [row.name for row in decision.rows if not row.passed] == [name]
    assert not decision.promoted
    assert f"{name} is {world.row(decision, name).value} where" in decision.reason
    assert world.aliases()["champion"] == before
    assert world.moves()[-1] == ("rejection", decision.version, False)


def test_no_gate_is_without_its_refusal() -> None:
    assert {name for name, _ in REFUSALS.values()} == {*(gate.name for gate in GATES), QUERY, FAIRNESS, CONTEST, PERSON}


@pytest.mark.usefixtures("quick")
def test_what_was_not_measured_does_not_pass(world: Any) -> None:
    good = world.candidate("candidate", noise=1.0)
    metrics = {name: value for name, value in good.metrics.items() if name != "latency_ms"}
    decision = world.promote(good.model_copy(update={"metrics": metrics}))
    assert "latency of one image, ms is not measured where at most 500 is asked" in decision.reason
