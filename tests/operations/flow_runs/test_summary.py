import io

import pytest
from rich.console import Console

from pneumo.operations.flow_runs import summary
from pneumo.operations.flow_runs.summary import CandidateRow, Outcome, Summary
from pneumo.records.base import Interval
from pneumo.tracking import connection
from pneumo.tracking.system import FLOW_RUN


@pytest.fixture
def result():
    share = Interval(value=0.95, low=0.9, high=0.99)
    rows = (
        CandidateRow(
            name="MobileNet 1.0",
            minutes=3.25,
            validation_auc=0.991,
            test_auc=share,
            sensitivity=share,
            specificity=share,
        ),
        CandidateRow(name="MobileNetV2 1.0", reason="out of memory"),
    )
    outcome = Outcome(
        promoted=True, reason="first champion", registered_model="pneumonia-classifier-phantom", version="1"
    )
    return Summary(
        flow_run_id="abc", source="phantom", synthetic=True, digest="d" * 64, images=240, candidates=rows,
        decision=outcome, prefect_url="http://127.0.0.1:4200/x", mlflow_url="http://127.0.0.1:5000/y",
    )  # fmt: skip


def shown(result):
    stream = io.StringIO()
    summary.show(result, Console(file=stream, width=140))
    return stream.getvalue()


def test_a_run_of_another_machine_tells_its_summary_through_mlflow(settings, tracker, result):
    assert summary.fetch(settings, "abc") is None
    run = tracker.runs.start("parent", tags={FLOW_RUN: "abc", "stage": "pipeline"})
    tracker.log.text(run, result.model_dump_json(), summary.FILE)
    tracker.runs.finish(run)
    assert summary.fetch(settings, "abc") == result


def test_a_summary_is_waited_for_while_mlflows_database_is_away(settings, monkeypatch):
    told = iter(["it answered with HTTP status 503"])
    connection._check.cache_clear()  # somebody who has not asked it before
    monkeypatch.setattr(connection, "complaint", lambda uri: next(told, None))
    assert summary.fetch(settings, "nobody's") is None


def test_a_summary_survives_the_disk(tmp_path, result):
    summary.write(result, tmp_path)
    assert summary.read(tmp_path, "abc") == result


def test_a_run_without_summary_reads_as_none(tmp_path):
    assert summary.read(tmp_path, "abc") is None


def test_the_table_has_figures_decision_reason_and_both_addresses(result):
    text = shown(result)
    for part in (
        "0.9500 (0.9000-0.9900)",
        "3.2",
        "Promoted: pneumonia-classifier-phantom version 1. first champion",
        "first champion",
        ":4200/x",
        ":5000/y",
    ):
        assert part in text


def test_what_to_do_and_the_count_of_decisions_follow_the_decision(result):
    told = {"remedies": ("calibration error: fit it there.",), "look": "Decision 3 on the 624 test images 1a2b."}
    text = shown(result.model_copy(update={"decision": result.decision.model_copy(update=told)}))
    assert "What to do about calibration error: fit it there.\nDecision 3 on the 624 test images 1a2b." in text
    assert "What to do" not in shown(result)


def test_an_auc_of_one_has_no_interval_and_the_table_says_why(result):
    perfect = result.candidates[0].model_copy(update={"test_auc": Interval(value=1, low=1, high=1)})
    text = shown(result.model_copy(update={"candidates": (perfect,)}))
    assert "1.0000 (no interval)" in text and "its interval cannot be estimated" in text
    assert "no interval" not in shown(result)


def test_a_failed_backbone_is_shown_with_its_reason(result):
    assert "MobileNetV2 1.0 failed: out of memory" in shown(result)


def test_brackets_in_names_and_reasons_are_shown_as_they_are(result):
    """Rich would take them for its own marks: drop them, or fail at the end of the run."""
    row = CandidateRow(name="MobileNet", reason="Expected a file, but /scans/[/old] is a pipe")
    decision = result.decision.model_copy(update={"reason": "refused at [red]", "remedies": ("a gate: look at [/x]",)})
    changes = {"source": "/scans/[old]/x", "candidates": (row,), "external": ("ward: [b] it is",), "decision": decision}
    text = shown(result.model_copy(update=changes))
    for words in ("/scans/[old]/x", "/scans/[/old] is a pipe", "refused at [red]", "look at [/x]", "ward: [b] it is"):
        assert words in text


def test_synthetic_data_is_announced(result):
    assert "synthetic" in shown(result)
    assert "synthetic" not in shown(result.model_copy(update={"synthetic": False}))


def test_what_the_shift_audit_says_is_shown(result):
    line = "The test normals are from elsewhere: AUC 0.89 (0.50 between random halves); expect less than on validation."
    assert f"Shift audit: {line}" in shown(result.model_copy(update={"shift": (line,)}))
    assert "Shift audit" not in shown(result)
