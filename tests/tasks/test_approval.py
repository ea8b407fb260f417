"""What a person is shown before a promotion."""

import re
from pathlib import Path

import pytest

from pneumo.stages import Evaluation, Interval, PolicyRow
from tasks.approval import Approval, _alone, asking, evidence
from tasks.people import NOBODY

AUC = PolicyRow(name="ROC AUC", limit="at least 0.9", value="0.98", passed=True)
CALIBRATION = PolicyRow(
    name="calibration error", limit="at most 0.1", value="0.138", passed=False, severity="warn", remedy="Fit it there."
)


def shown(*rows):
    high = Interval(value=0.95, low=0.9, high=0.98)
    found = Evaluation(
        name="a", key="k", run_id="r", model_uri="", bundle=Path(), predictions=Path(), minutes=1, threshold=0.5,
        temperature=1, offset=0, selection_score=0.9, validation_auc=0.9, test_auc=high, sensitivity=high,
        specificity=high, metrics={}, slices={},
    )  # fmt: skip
    return evidence(list(rows), found, "http://mlflow")


def test_a_person_is_told_what_only_warns():
    text = shown(AUC, CALIBRATION)
    assert "All gates hold" not in text
    assert "No gate refuses." in text
    assert "**Warning:** calibration error is 0.138 where at most 0.1 is asked. Fit it there." in text
    assert "| calibration error | 0.138 | at most 0.1 | warning |" in text


@pytest.mark.parametrize(
    ("login", "requester", "why"),
    [
        ("bob", "anna", ""),
        ("bob", None, ""),
        ("", None, ""),
        ("anna", "anna", "approved by anna, who asked for the run"),
        ("Anna", "anna", "approved by Anna, who asked for the run"),
        ("", "anna", "approved on the page by anna b.*asks for `pneumo approve`"),
        ("bob", NOBODY, ""),
    ],
)
def test_two_people_are_two_logins(login, requester, why):
    """Whoever typed a name on the page may be anyone."""
    said = _alone(Approval(approve=True, name=login or "anna b", login=login), requester)
    assert bool(said) == bool(why) and re.match(why, said)
    assert _alone(Approval(approve=False, name="anna", login=login), requester) == "", "anyone may reject"


def test_nobody_is_asked_where_nobody_knows_who_asked_for_the_run():
    word = asking(hours=1, requester="")([AUC], None)
    assert not word.approved
    assert "needs to know who asked" in word.said


def test_without_warnings_all_gates_hold():
    assert "test ROC AUC 0.9500 (0.9000 to 0.9800). All gates hold." in shown(AUC)
