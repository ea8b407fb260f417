"""What is registered of a version with an operating point of a place, and what a kill leaves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumo.errors import PromotionError, TrackingError
from pneumo.registry.acceptance.at_home import LEFT_OUT
from pneumo.registry.history import history
from pneumo.registry.promotion import comparison, load_check, version_evidence
from pneumo.tracking.run_log import RunLog
from pneumo.tracking.system import REQUESTER
from tests.registry.acceptance.place import LIMITS, ask


class Killed(BaseException):
    """The process ends here."""


def killed(*args: Any) -> None:
    raise Killed


def away(*args: Any) -> None:
    raise TrackingError("MLflow is away")


def spec(world: Any, version: str, folder: Path) -> dict[str, Any]:
    (file,) = world.tracker.files.download(f"models:/{world.name}/{version}", folder).rglob("serving.json")
    return json.loads(file.read_text())


def test_calibrating_registers_the_same_files_with_another_operating_point(here: Any, tmp_path: Path) -> None:
    found = ask(here, calibrate=60)
    assert found.calibrated_on == {"NORMAL": 40, "PNEUMONIA": 20} and found.images == {"NORMAL": 80, "PNEUMONIA": 40}
    assert found.after.calibration_error.value < 0.12 < found.before.calibration_error.value
    assert found.after.specificity.value > found.before.specificity.value
    assert found.accepted and (found.version, found.alias) == ("2", "accepted")
    before, after = spec(here, "1", tmp_path / "1"), spec(here, "2", tmp_path / "2")
    assert {name for name in before if before[name] != after[name]} == {"offset", "temperature", "threshold"}
    assert after["threshold"] == found.after.threshold
    assert here.aliases() == {"champion": "1", "challenger": "1", "previous": None}
    assert here.tracker.registry.alias(here.name, "accepted") == "2"


def test_the_new_version_has_evidence_card_tags_and_history(here: Any, tmp_path: Path) -> None:
    run = here.tracker.runs.start("asked for", tags={REQUESTER: "anna"})
    found = ask(here, calibrate=60, run_id=run)
    version = here.tracker.registry.version(here.name, "2")
    assert version.tags["accept.parent"] == "1" and version.tags["accept"] == "accepted"
    assert version.tags["offset"] == repr(found.after.offset) and version.tags["auc"]
    assert "Not a medical device" in version.description and "40 NORMAL and 20 PNEUMONIA" in version.description
    assert f"- Left out: {LEFT_OUT[0]}" in version.description
    entry = history(here.settings)[-1]
    assert (entry.action, entry.version, entry.champion, entry.took_effect) == ("calibration", "2", "1", False)
    assert entry.who == "anna"
    report = here.tracker.files.download(entry.evidence, tmp_path / "report")
    assert json.loads(report.read_text())["version"] == "2"
    with version_evidence.evidence_of(here.tracker, version) as kept:
        assert len(version_evidence.calibrated_on(kept)) == 60
        evaluation = json.loads((kept / version_evidence.EVALUATION).read_text())
    assert evaluation["threshold"] == found.after.threshold
    # At home, where images are darker, the new point misses more.
    assert evaluation["sensitivity"]["value"] < found.home_sensitivity.value


def test_the_new_version_has_a_dossier_with_the_figures_of_the_place(here: Any, tmp_path: Path) -> None:
    run = here.tracker.runs.start("asked for")
    found = ask(here, calibrate=60, run_id=run)
    folder = here.tracker.files.download(f"runs:/{run}/dossier", tmp_path)
    filled = json.loads((folder / "tripod-ai.json").read_text())
    assert (filled["version"], filled["run"], filled["pipeline_run"]) == ("2", run, here.parent)
    items = {row["number"]: row for row in filled["items"]}
    assert "fitted on 40 NORMAL and 20 PNEUMONIA images of our_xrays" in items["12f"]["answer"]
    assert f"now, ROC AUC {found.after.auc:.3f}" in items["24"]["answer"] and items["24"]["status"] == "answered"
    assert f"called PNEUMONIA from {found.after.threshold:.4f} on" in items["12g"]["answer"]
    assert items["24"]["evidence"] == ["accept/report.json"]
    assert "artifacts/dossier/dossier.html" in here.tracker.registry.version(here.name, "2").description


def test_the_same_question_twice_is_one_version(here: Any) -> None:
    first, second = ask(here, calibrate=60), ask(here, calibrate=60)
    assert (first.version, second.version) == ("2", "2") and first.after == second.after
    assert [row.action for row in history(here.settings)] == ["promotion", "calibration", "calibration"]


def test_what_is_judged_anew_and_not_accepted_is_told_so_and_loses_the_alias(here: Any, monkeypatch: Any) -> None:
    ask(here, calibrate=60)
    here.policy(**LIMITS | {"minimum_auc": 0.999})
    with monkeypatch.context() as patch, pytest.raises(TrackingError, match="away"):
        patch.setattr(RunLog, "text", away)
        ask(here, calibrate=60)
    left = here.tracker.registry.version(here.name, "2")
    assert left.tags["accept"] == "accepted" and "It was not accepted" not in left.description
    assert here.tracker.registry.alias(here.name, "accepted") == "2"
    assert ask(here, calibrate=60).version == "2"
    judged = here.tracker.registry.version(here.name, "2")
    assert judged.tags["accept"] == "not accepted" and "It was not accepted" in judged.description
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert "Not accepted" in history(here.settings)[-1].reason


def test_a_version_that_is_not_accepted_leaves_the_alias_of_another(here: Any) -> None:
    ask(here, calibrate=60)
    here.policy(**LIMITS | {"minimum_auc": 0.999})
    assert ask(here, calibrate=80).version == "3"
    assert here.tracker.registry.alias(here.name, "accepted") == "2"


@pytest.mark.parametrize("step", ["load_check.says", "alias_switch.move"])
def test_what_a_kill_left_is_no_version_until_it_was_checked(here: Any, monkeypatch: Any, step: str) -> None:
    """Killed while the new version is asked, or before the alias moves; a process that is killed undoes nothing."""
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(version_evidence, "mark_undone", lambda *args: None)
        patch.setattr(f"pneumo.registry.promotion.{step}", killed)
        ask(here, calibrate=60)
    left, checked = here.tracker.registry.version(here.name, "2"), step == "alias_switch.move"
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert bool(left.tags[version_evidence.UNDONE]) is not checked
    again = ask(here, calibrate=60)
    assert (again.version, again.alias) == ("2" if checked else "3", "accepted")
    found = here.tracker.registry.version(here.name, again.version)
    assert "Not a medical device" in found.description and not found.tags[version_evidence.UNDONE]
    told = [(row.action, row.version) for row in history(here.settings)]
    assert told == [("promotion", "1"), *[("calibration", again.version)] * (2 if checked else 1)]


def test_what_calibrated_a_version_counts_as_seen_in_a_later_contest(here: Any) -> None:
    ask(here, calibrate=60)
    with version_evidence.evidence_of(here.tracker, here.tracker.registry.version(here.name, "2")) as kept:
        test = version_evidence.calibrated_on(kept).assign(patient="other")
        assert comparison._seen(test, kept).all()


def test_a_share_of_pneumonia_moves_probabilities_and_no_call(here: Any, tmp_path: Path) -> None:
    found = ask(here, prevalence=0.05)
    assert found.before.sensitivity == found.after.sensitivity and found.before.specificity == found.after.specificity
    assert found.after.temperature == found.before.temperature and found.after.offset < found.before.offset
    assert found.after.calibration_error.value < found.before.calibration_error.value
    assert here.tracker.registry.version(here.name, "2").tags[version_evidence.PREVALENCE] == "0.05"
    # From there back to half and half, the share among the validation images at home.
    back = ask(here, prevalence=0.5, model=f"models:/{here.name}/2")
    assert back.after.offset == pytest.approx(spec(here, "1", tmp_path)["offset"])


def test_a_share_moves_a_calibrated_point_from_the_share_of_its_images(here: Any) -> None:
    plain, rare = ask(here, calibrate=60), ask(here, calibrate=60, prevalence=0.1)
    step = np.log(0.1 / 0.9) - np.log((1 / 3) / (2 / 3))
    assert rare.after.offset == pytest.approx(plain.after.offset + plain.after.temperature * step)
    assert rare.after.sensitivity == plain.after.sensitivity


def test_a_version_that_is_not_accepted_has_no_alias(here: Any) -> None:
    here.policy(**LIMITS | {"minimum_auc": 0.999})
    found = ask(here, calibrate=60)
    assert (found.accepted, found.version, found.alias) == (False, "2", None)
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert "No operating point can repair this" in found.advice


def test_what_does_not_answer_as_it_should_is_marked_and_not_used_again(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(load_check, "says", lambda *_: (False, "largest difference 3.0e-01"))
        with pytest.raises(PromotionError, match=r"but largest difference 3\.0e-01: it is marked as undone"):
            ask(here, calibrate=60)
    assert "ended before its decision" in here.tracker.registry.version(here.name, "2").tags["undone"]
    assert here.tracker.registry.alias(here.name, "accepted") is None
    assert [row.action for row in history(here.settings)] == ["promotion"]
    assert here.tracker.runs.newest({"stage": "accept", "model": f"models:/{here.name}/1"}, "FAILED")
    assert ask(here, calibrate=60).version == "3"


def test_a_later_promotion_is_not_confused(here: Any) -> None:
    ask(here, calibrate=60)
    here.policy(tie="promote")
    assert here.promote(here.candidate("good", noise=0.1)).version == "3"
    assert here.aliases()["champion"] == "3" and here.tracker.registry.alias(here.name, "accepted") == "2"
