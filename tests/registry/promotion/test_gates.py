"""Every gate can refuse, in a promotion from end to end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pneumo.errors import SettingsError
from pneumo.records.base import Interval
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import severity
from pneumo.registry.promotion.gates import GATES, figure_rows
from pneumo.registry.promotion.state_machine import ApprovalAnswer
from pneumo.settings.promotion import Promotion

QUERY, FAIRNESS = "registered version in a fresh process", "test images that the champion was trained on"
CONTEST, PERSON = "ROC AUC against the champion", "approval by a person"
CALIBRATION, SLICE = "calibration error", "drop in the worst slice"


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
    "calibration": (CALIBRATION, limit(maximum_calibration_error=0.0, severity={CALIBRATION: "refuse"})),
    "slice": (SLICE, limit(maximum_slice_drop=0.0, severity={SLICE: "refuse"})),
    "latency": ("latency of one image, ms", measured(latency_ms=501.0)),
    "size": ("model size, MB", measured(model_mb=501.0)),
    "query": (QUERY, answers_otherwise),
    "fairness": (FAIRNESS, champion_knows_every_test_image),
    "comparison": (CONTEST, champion_is_better),
    "person": (PERSON, limit(approval=True)),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("refusal", REFUSALS)
def test_every_gate_can_refuse(world: Any, refusal: str) -> None:
    name, arrange = REFUSALS[refusal]
    evaluation = arrange(world)
    before = world.aliases()["champion"]
    decision = world.promote(
        evaluation, approve=lambda rows, best: ApprovalAnswer(approved=False, said="rejected by A")
    )
    assert [row.name for row in decision.rows if not row.passed] == [name]
    assert not decision.promoted
    assert f"{name} is {world.row(decision, name).value} where" in decision.reason
    assert world.row(decision, name).remedy
    assert world.aliases()["champion"] == before
    assert world.moves()[-1] == ("rejection", decision.version, False)


def test_no_gate_is_without_its_refusal() -> None:
    assert {name for name, _ in REFUSALS.values()} == {*(gate.name for gate in GATES), QUERY, FAIRNESS, CONTEST, PERSON}
    # A bar needs a rollback before it (test_rollback.py), and a shadow's answers a service (test_shadow_row.py).
    elsewhere = {severity.BARRED, severity.SHADOW}
    assert {name for name, _ in REFUSALS.values()} | elsewhere == set(severity._known())


@pytest.mark.usefixtures("quick")
def test_a_gate_that_warns_promotes_with_its_reason_and_what_to_do(world: Any) -> None:
    """As Kaggle's own test set did to the calibration: AUC 0.98, and not promoted."""
    world.policy(maximum_calibration_error=0.0, maximum_slice_drop=0.0)
    decision = world.promote(world.candidate("candidate", noise=2.5))
    assert decision.promoted and world.aliases()["champion"] == "1"
    assert "passed 6 of 8 gates, the others only warn, and is the first champion" in decision.reason
    row = world.row(decision, CALIBRATION)
    assert (row.severity, row.passed) == ("warn", False)
    assert f"Warning: {CALIBRATION} is {row.value} where at most 0 is required; {SLICE} is" in decision.reason
    assert "pneumo accept SOURCE --calibrate 100" in row.remedy
    assert [remedy.partition(":")[0] for remedy in decision.remedies] == [CALIBRATION, SLICE]


@pytest.mark.usefixtures("quick")
def test_any_figure_can_be_made_to_warn(world: Any) -> None:
    world.policy(minimum_auc=1.0, severity={"ROC AUC": "warn"})
    assert world.promote(world.candidate("candidate", noise=2.5)).promoted


@pytest.mark.usefixtures("quick")
def test_a_gate_that_only_warns_does_not_keep_a_person_from_being_asked(world: Any) -> None:
    world.policy(maximum_calibration_error=0.0, approval=True)
    yes = ApprovalAnswer(approved=True, said="approved by A")
    assert world.promote(world.candidate("candidate", noise=2.5), approve=lambda rows, best: yes).promoted


def test_a_severity_of_no_gate_is_refused_by_name_and_so_is_a_person_who_only_warns() -> None:
    severity.require_known(Promotion(severity={CALIBRATION: "refuse", "ROC AUC": "warn", PERSON: "refuse"}))
    with pytest.raises(SettingsError, match=r"promotion\.severity: no gate is called calibraton error; there are"):
        severity.require_known(Promotion(severity={"calibraton error": "warn"}))
    for name in (PERSON, QUERY):
        with pytest.raises(SettingsError, match=f"{name} always refuses, got warn"):
            severity.require_known(Promotion(severity={name: "warn"}))


def test_a_promotion_with_an_unknown_severity_does_nothing(world: Any) -> None:
    world.policy(severity={"acurracy": "warn"})
    with pytest.raises(SettingsError, match="acurracy"):
        world.promote()


def figures(**intervals: Interval) -> Evaluation:
    high = Interval(value=0.95, low=0.91, high=0.98)
    shown = {"test_auc": high, "sensitivity": high, "specificity": high} | intervals
    return Evaluation(
        name="a", key="k", run_id="r", model_uri="", bundle=Path(), predictions=Path(), minutes=1, threshold=0.5,
        temperature=1, offset=0, selection_score=0.9, validation_auc=0.9, metrics={}, slices={}, **shown,
    )  # fmt: skip


@pytest.mark.parametrize(("judge", "passed"), [("estimate", True), ("lower_bound", False)])
def test_the_lower_bound_is_judged_where_the_setting_says_so(judge: Any, passed: bool) -> None:
    judged = Promotion(minimum_sensitivity=0.85, judge={"sensitivity": judge})
    found = figures(sensitivity=Interval(value=0.9, low=0.8, high=0.96))
    row = next(row for row in figure_rows(found, judged) if row.name == "sensitivity")
    assert (row.passed, row.value) == (passed, "0.900 (0.800 to 0.960)")
    assert row.limit == ("at least 0.85" if passed else "a lower bound of at least 0.85")


def test_an_auc_of_one_has_no_lower_bound_to_be_judged_and_says_so() -> None:
    perfect = figures(test_auc=Interval(value=1, low=1, high=1))
    for judge, passed in (("estimate", True), ("lower_bound", False)):
        row = figure_rows(perfect, Promotion(judge={"ROC AUC": judge}))[0]
        assert (row.passed, row.value) == (passed, "1.0000 (interval cannot be estimated)")


@pytest.mark.usefixtures("quick")
def test_what_was_not_measured_does_not_pass(world: Any) -> None:
    good = world.candidate("candidate", noise=1.0)
    metrics = {name: value for name, value in good.metrics.items() if name != "latency_ms"}
    decision = world.promote(good.model_copy(update={"metrics": metrics}))
    assert "latency of one image, ms is not measured where at most 500 is required" in decision.reason
