"""The model card says what a version is for, what it is not for, and how sure its numbers are."""

import json
import re
from typing import Any

import pytest

from pneumo.records.base import LABELS, Interval
from pneumo.records.data import ShiftAudit, ShiftRow
from pneumo.records.model import External
from pneumo.registry import model_card
from pneumo.tracking.models.registry import LONGEST_DESCRIPTION

pytestmark = pytest.mark.usefixtures("quick")


def elsewhere(world: Any, name: str = "north") -> External:
    interval = Interval(value=0.42, low=0.36, high=0.48)
    return External(
        name=name, source=f"/data/{name}", folder=world.folder, images=200, errors=0, left_out=7, auc=interval,
        sensitivity=interval, specificity=interval, out_of_distribution=0.9, metrics={}, slices={}, generalises=False,
        verdict="Does not generalise: AUC 0.420 (0.360 to 0.480), 0.970 at home.",
    )  # fmt: skip


def written(world: Any, **changes: Any) -> model_card.Card:
    evaluation = world.candidate("candidate", noise=1.0)
    decision = world.promote(evaluation)
    return model_card.write(
        evaluation, world.version, decision, [elsewhere(world)], "http://mlflow", "http://mlflow/run"
    )


def test_both_forms_say_what_matters(world: Any) -> None:
    for text in written(world):
        words = re.sub(r"<[^>]+>|\*", "", text)
        for part in (
            "Not a medical device.",
            "Not for:",
            "Does not generalise: AUC 0.420",
            "7 left out",
            "bacterial pneumonia and normal",
            world.version.digest,
            "passed all 8 gates",
            "95 %",
            "Elsewhere it can fall to chance",
            f"models:/{world.name}/1",
        ):
            assert part in words, part


def test_every_number_comes_with_its_interval(world: Any) -> None:
    evaluation = world.candidate("candidate", noise=1.0)
    text = model_card.write(
        evaluation, world.version, world.promote(evaluation), [], "http://mlflow", "http://run"
    ).markdown
    auc = evaluation.test_auc
    assert f"| ROC AUC | {auc.value:.3f} | {auc.low:.3f} to {auc.high:.3f} |" in text
    assert "It was not measured on images of another hospital." in text


def test_what_only_warns_is_shown_with_what_to_do_and_the_looks_are_counted(world: Any) -> None:
    world.policy(maximum_calibration_error=0.0)
    for text in written(world):
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
        assert "Warning: calibration error is" in words
        assert re.search(r"What to do.{0,30}: do not read its probabilities as such there", words), words
        assert "Decision 1 on the 96 test images" in words


def test_an_auc_of_one_says_that_its_interval_cannot_be_estimated(world: Any) -> None:
    evaluation = world.candidate("candidate", noise=0.0)
    assert evaluation.test_auc.value == 1
    decision = world.promote(evaluation)
    assert "test ROC AUC 1.0000 (interval cannot be estimated)." in decision.reason
    for text in model_card.write(evaluation, world.version, decision, [], "http://mlflow", "http://run"):
        assert "interval cannot be estimated" in text and "1.000 to 1.000" not in text


def test_the_longest_description_fits_and_keeps_its_end(world: Any) -> None:
    evaluation = world.candidate("candidate", noise=1.0)
    decision = world.promote(evaluation)
    part = {"images": 100.0, "auc": 0.9, "auc_low": 0.8, "auc_high": 0.95}
    evaluation = evaluation.model_copy(
        update={
            "slices": {f"brightness of the whole image {number} low": part for number in range(40)},
            "warnings": ("it looks at something other than the lungs, " * 3,) * 9,
            "metrics": evaluation.metrics | {f"shortcut_name_{number}_auc": 0.5 for number in range(6)},
        }
    )
    data = world.version.model_copy(update={"source": "/long" * 300, "synthetic": True})
    rows = [row.model_copy(update={"passed": False, "remedy": "do " * 400}) for row in decision.rows]
    changes = {"reason": "because " * 400, "registered_model": "m" * 200, "rows": tuple(rows)}
    decision = decision.model_copy(update=changes)
    sets = [elsewhere(world, f"{'hospital' * 6} {number}") for number in range(9)]
    audits = [audited(name) for name in ("test", *(item.name for item in sets))]
    text = model_card.write(
        evaluation, data, decision, sets, "http://mlflow", "http://mlflow/" + "r" * 120, audits
    ).markdown
    assert len(text) <= LONGEST_DESCRIPTION
    assert "card.html" in text.splitlines()[-1]
    assert text.startswith("**Synthetic")


def audited(name: str = "test") -> ShiftAudit:
    auc, chance = (Interval(value=value, low=value - 0.05, high=value + 0.05) for value in (0.89, 0.5))
    rows = [ShiftRow(label=label, images=90, patients=80, auc=auc, random=chance) for label in LABELS]
    return ShiftAudit(name=name, features="intensity statistics", rows=tuple(rows))


def test_the_limits_say_that_the_test_images_are_from_elsewhere(world: Any) -> None:
    evaluation = world.candidate("candidate", noise=1.0)
    decision = world.promote(evaluation, audits=[audited()])
    both = model_card.write(evaluation, world.version, decision, [], "http://mlflow", "http://run", [audited()])
    for text, head in zip(both, ("## Limits", "<h2>Limits</h2>"), strict=True):
        words = "The test normals are from elsewhere: AUC 0.89 (0.50 between random halves); expect less than on valid"
        assert words in text.partition(head)[2]
    run = world.tracker.client.get_run(world.parent).info.run_id
    with world.tracker.files.downloaded(f"runs:/{run}/promotion") as folder:
        assert json.loads((folder / "decision.json").read_text())["shift_audit"][0]["name"] == "test"


def test_hostile_text_stays_text(world: Any) -> None:
    evaluation = world.candidate("candidate", noise=1.0)
    decision = world.promote(evaluation)
    data = world.version.model_copy(update={"source": "<script>alert(1)</script>"})
    page = model_card.write(evaluation, data, decision, [], "http://mlflow", "http://run").html
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_the_page_needs_nothing_from_elsewhere(world: Any) -> None:
    page = written(world).html
    assert not re.findall(r"""(?:src|@import|<link[^>]+href)=?["'(\s]*https?:""", page)
    assert "data:image/png;base64," in page
