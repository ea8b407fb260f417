"""What a person is shown before a promotion."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect import flow
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from pneumo.operations.prefect_api import PrefectApi
from pneumo.records.base import Interval
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.settings import Settings
from tasks.approval import Approval, _alone, asking, evidence
from tasks.support.people import NOBODY, UNKNOWN

AUC = PolicyRow(name="ROC AUC", limit="at least 0.9", value="0.98", passed=True)
CALIBRATION = PolicyRow(
    name="calibration error", limit="at most 0.1", value="0.138", passed=False, severity="warn", remedy="Fit it there."
)


HIGH = Interval(value=0.95, low=0.9, high=0.98)
FOUND = Evaluation(
    name="a", key="k", run_id="r", model_uri="", bundle=Path(), predictions=Path(), minutes=1, threshold=0.5,
    temperature=1, offset=0, selection_score=0.9, validation_auc=0.9, test_auc=HIGH, sensitivity=HIGH,
    specificity=HIGH, metrics={}, slices={},
)  # fmt: skip


def shown(*rows):
    return evidence(list(rows), FOUND, "http://mlflow")


def test_a_person_is_told_what_only_warns():
    text = shown(AUC, CALIBRATION)
    assert "All gates hold" not in text
    assert "No gate refuses." in text
    assert "**Warning:** calibration error is 0.138 where at most 0.1 is asked. Fit it there." in text
    assert "| calibration error | 0.138 | at most 0.1 | warning |" in text


@pytest.mark.parametrize(
    ("name", "by_command", "requester", "why"),
    [
        ("bob", True, "anna", ""),
        ("bob", True, NOBODY, ""),
        ("anna", True, "anna", "approved by anna, who asked for the run"),
        ("Anna", True, "anna", "approved by Anna, who asked for the run"),
        ("bob", False, "anna", "approved on the page by bob.*asks for `pneumo approve`"),
    ],
)
def test_two_people_are_two_logins(name, by_command, requester, why):
    said = _alone(Approval(approve=True, name=name), requester, by_command)
    assert bool(said) == bool(why) and re.match(why, said)
    assert _alone(Approval(approve=False, name=name), requester, by_command) == "", "anyone may reject"


def test_nobody_is_asked_where_nobody_knows_who_asked_for_the_run():
    word = asking(Settings(), requester=UNKNOWN)([AUC], None)
    assert not word.approved
    assert "needs to know who asked" in word.said


@pytest.mark.services
def test_whoever_answers_on_the_page_is_no_second_person_whatever_they_type(prefect_server, monkeypatch):
    """Three questions of one run: as the page can answer, by the command, and once more as that was answered."""
    monkeypatch.setattr("tasks.approval.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("tasks.approval.tracker", lambda: SimpleNamespace(runs=SimpleNamespace(url=str)))
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    api, seen, words = PrefectApi(prefect_server, timeout=60), set(), []

    @flow(name="three questions")
    def questions():
        ids.append(flow_run.id)
        ask = asking(Settings(), requester="anna")
        words.extend(ask([AUC], FOUND) for _ in range(3))

    def waiting():
        """Until the next question."""
        while not ids or api.run(ids[0])["state_type"] != "PAUSED" or api.run(ids[0])["state_id"] in seen:
            time.sleep(0.2)
            assert not run.done(), run.exception()
        seen.add(api.run(ids[0])["state_id"])
        while "status" in (told := page({"approve": "perhaps"})) and "not found" in told["details"]["reason"]:
            time.sleep(0.2)  # the form comes a moment after the pause

    def page(answer):
        return api.ask("POST", f"/flow_runs/{ids[0]}/resume", {"run_input": answer})

    ids = []
    bob = {"approve": True, "name": "bob", "reason": "seen"}
    with temporary_settings({PREFECT_API_URL: prefect_server}), ThreadPoolExecutor(1) as beside:
        run = beside.submit(copy_context().run, questions)
        waiting()
        assert page(bob | {"login": "bob"})["status"] == "REJECT"
        assert page(bob)["status"] == "ACCEPT"
        waiting()
        api.resume(ids[0], bob)
        waiting()
        assert page(bob)["status"] == "ACCEPT"
        run.result(timeout=60)
    assert [word.approved for word in words] == [False, True, False]
    assert words[1].said == "approved by bob: seen"


def test_without_warnings_all_gates_hold():
    assert "test ROC AUC 0.9500 (0.9000 to 0.9800). All gates hold." in shown(AUC)
