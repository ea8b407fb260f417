"""What a run logs of its shift audit, and what it looks at where the weights are on other machines."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from pneumo.errors import WeightsError
from pneumo.records.base import LABELS, Interval
from pneumo.records.data import ShiftAudit, ShiftRow
from pneumo.training.candidates.spec import candidate_specs
from tasks import evaluation
from tasks.pages import other_places


@pytest.fixture
def logged(monkeypatch):
    """Numbers, files and rows of the page that a task sends; nothing leaves this process."""
    sent = {}
    log = SimpleNamespace(
        metrics=lambda run_id, numbers: sent.update(numbers),
        text=lambda run_id, text, file: sent.update({file: text}),
    )
    tracker = SimpleNamespace(log=log)
    monkeypatch.setattr(evaluation, "tracker", lambda: tracker)
    monkeypatch.setattr(evaluation, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(other_places, "create_table_artifact", lambda **page: sent.update(page))
    return sent


def audited(name, features):
    auc, chance = Interval(value=0.89, low=0.85, high=0.93), Interval(value=0.5, low=0.45, high=0.55)
    rows = (
        ShiftRow(label=LABELS[0], images=9, patients=9, auc=auc, random=chance),
        ShiftRow(label=LABELS[1], images=1, patients=1),
    )
    return ShiftAudit(name=name, features=features, rows=rows)


def audit(monkeypatch, found):
    monkeypatch.setattr(evaluation.shift_audit, "audit_run", found)
    (spec,) = candidate_specs("MobileNet:0.25", "/on/the/cluster", 32, 1)
    return evaluation.audit_shift.fn(spec, None, None, [], Path(), "run")


def test_numbers_file_and_page_name_group_and_class(monkeypatch, logged):
    audit(monkeypatch, lambda spec, *rest: (audited("test", "drawn"), audited("north", "drawn")))
    assert logged["shift_audit/normal_auc"] == 0.89 and logged["shift_audit/normal_random_auc"] == 0.5
    assert logged["shift_audit/north/normal_auc"] == 0.89
    assert not [name for name in logged if "pneumonia" in name]
    assert "drawn" in logged["shift_audit.json"]
    assert [row["AUC against training images"] for row in logged["table"]][:2] == [
        "0.890 (0.850 to 0.930)",
        "too few patients",
    ]
    assert "The test normals are from elsewhere" in logged["description"]


def test_without_the_weights_it_looks_at_the_manifests_and_says_so(monkeypatch, logged, caplog):
    def found(spec, *rest):
        if spec.weights != "none":
            raise WeightsError("Expected weights.")
        return (audited("test", "intensity statistics"),)

    (only,) = audit(monkeypatch, found)
    assert only.features == "intensity statistics"
    assert "Expected weights. The audit looks at intensities instead." in caplog.text
