import json
from typing import Any

import pandas as pd
import pytest

from pneumo.errors import PromotionError, TrackingError
from pneumo.registry.champion import champion
from pneumo.registry.history import history
from pneumo.registry.promote import choose, promote
from pneumo.settings import Settings
from pneumo.stages import Decision, Evaluation, PolicyRow


def run(world: Any, *evaluations: Evaluation, **changes: Any) -> Decision:
    return promote(list(evaluations), world.version, world.settings, world.home, world.parent, **changes)


def aliases(world: Any) -> dict[str, str | None]:
    return {alias: world.tracker.alias(world.name, alias) for alias in ("champion", "challenger", "previous")}


def row(decision: Decision, name: str) -> PolicyRow:
    return next(item for item in decision.rows if item.name == name)


def changed(settings: Settings, **promotion: Any) -> Settings:
    return settings.model_copy(update={"promotion": settings.promotion.model_copy(update=promotion)})


def test_the_first_champion_needs_just_the_gates_and_can_then_be_used(world: Any) -> None:
    decision = run(world, world.candidate("weak", noise=4.0), world.candidate("good", noise=2.0))
    assert decision.promoted, decision.reason
    assert (decision.name, decision.version, decision.champion_before) == ("good", "1", None)
    assert aliases(world) == {"champion": "1", "challenger": "1", "previous": None}
    info = champion(world.settings)
    assert info is not None
    assert (info.version, info.name, info.dataset_digest) == ("1", "good", world.version.digest)
    assert info.auc is not None
    assert info.auc.low <= info.auc.value <= info.auc.high
    assert info.since is not None
    model = world.tracker.load_pyfunc(f"models:/{world.name}@champion")
    image = (world.version.root / "0.png").read_bytes()
    assert 0 <= model.predict(pd.DataFrame({"image": [image]}))["probability"][0] <= 1


def test_the_candidate_is_chosen_by_validation_never_by_test(world: Any) -> None:
    first, second = world.candidate("first", noise=1.0), world.candidate("second", noise=3.0)
    assert first.test_auc.value > second.test_auc.value
    assert choose([first, second.model_copy(update={"selection_score": 1.0})]).name == "second"
    with pytest.raises(PromotionError, match="at least one evaluated candidate"):
        choose([])


def test_a_better_challenger_replaces_the_champion_which_becomes_previous(world: Any) -> None:
    run(world, world.candidate("weak", noise=3.0))
    decision = run(world, world.candidate("good", noise=0.5))
    assert decision.promoted, decision.reason
    assert decision.champion_before == "1"
    assert aliases(world) == {"champion": "2", "challenger": "2", "previous": "1"}
    assert "DeLong p" in row(decision, "ROC AUC against the champion").value
    assert [(item.action, item.version, item.took_effect) for item in history(world.settings)] == [
        ("promotion", "1", True),
        ("promotion", "2", True),
    ]


def test_a_worse_challenger_stays_challenger_with_a_reason(world: Any) -> None:
    run(world, world.candidate("good", noise=0.5))
    decision = run(world, world.candidate("weak", noise=3.0))
    assert not decision.promoted
    assert "was not promoted and version 1 stays champion: ROC AUC against the champion" in decision.reason
    assert aliases(world) == {"champion": "1", "challenger": "2", "previous": None}
    entry = history(world.settings)[-1]
    assert (entry.action, entry.version, entry.took_effect, entry.champion) == ("rejection", "2", False, "1")


@pytest.mark.parametrize(("tie", "promoted"), [("keep", False), ("promote", True)])
def test_a_tie_goes_as_the_policy_says(world: Any, tie: str, promoted: bool) -> None:
    run(world, world.candidate("one", noise=2.0, seed=1))
    world.settings = changed(world.settings, tie=tie)
    decision = run(world, world.candidate("two", noise=2.0, seed=2))
    assert decision.promoted is promoted, decision.reason


def test_the_same_candidate_again_changes_nothing(world: Any) -> None:
    good = world.candidate("good", noise=1.0)
    run(world, good)
    decision = run(world, good)
    assert not decision.promoted
    assert "is already the champion (version 1)" in decision.reason
    assert len(world.tracker.versions(world.name)) == 1


def test_evidence_and_model_card_are_kept_with_the_run(world: Any, tmp_path: Any) -> None:
    decision = run(world, world.candidate("good", noise=1.0))
    evidence = world.tracker.download(f"runs:/{world.parent}/promotion/decision.json", tmp_path / "evidence")
    found = json.loads(evidence.read_text())
    assert found["decision"]["version"] == decision.version
    assert found["policy"]["minimum_auc"] == 0.7
    assert world.tracker.download(f"runs:/{decision.run_id}/card.html", tmp_path / "card").is_file()
    description = world.tracker.version(world.name, "1").description
    assert description.startswith("**Not a medical device.**")


def test_a_served_model_that_answers_otherwise_than_its_predictions_is_refused(world: Any) -> None:
    decision = run(world, world.candidate("good", noise=1.0, shift=0.01))
    assert not decision.promoted
    refused = row(decision, "registered version in a fresh process")
    assert not refused.passed
    assert "largest difference" in refused.value
    assert aliases(world)["champion"] is None


def test_a_model_that_cannot_be_loaded_is_refused(world: Any) -> None:
    world.model_file.write_text(
        world.model_file.read_text().replace(
            "self.spec = json", "raise OSError('no such weights')\n        self.x = json"
        )
    )
    decision = run(world, world.candidate("broken", noise=1.0))
    assert not decision.promoted
    assert "no such weights" in row(decision, "registered version in a fresh process").value


def test_synthetic_data_has_a_registered_model_of_its_own(world: Any) -> None:
    run(world, world.candidate("real", noise=2.0))
    real = aliases(world)
    world.version = world.version.model_copy(update={"synthetic": True})
    decision = run(world, world.candidate("drawn", noise=0.1))
    assert decision.registered_model == world.settings.registry.phantom_model
    assert decision.promoted
    assert world.tracker.version(world.name, "1").description.startswith("**Synthetic")
    world.version = world.version.model_copy(update={"synthetic": False})
    assert aliases(world) == real
    assert champion(world.settings, synthetic=True).synthetic  # type: ignore[union-attr]


def test_an_error_undoes_everything_before_it(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run(world, world.candidate("weak", noise=3.0))
    before = aliases(world)
    better = world.candidate("good", noise=0.5)
    from pneumo.registry import promote as module

    def fail(course: Any) -> None:
        raise TrackingError("the network is gone")

    for place in range(1, len(module.STEPS) + 1):
        monkeypatch.setattr(module, "STEPS", (*module.STEPS[:place], fail, *module.STEPS[place:]))
        with pytest.raises(TrackingError, match="the network is gone"):
            run(world, better)
        monkeypatch.undo()
        assert aliases(world) == before
        assert [item.version for item in world.tracker.versions(world.name)] == ["1"]
        assert [item.version for item in history(world.settings) if item.took_effect] == ["1"]
    assert run(world, better).promoted


def test_a_person_can_refuse_what_passed_every_gate(world: Any) -> None:
    world.settings = changed(world.settings, approval=True)
    good, asked = world.candidate("good", noise=1.0), []

    def refuse(rows: list[PolicyRow], evaluation: Evaluation) -> bool:
        asked.append((len(rows), evaluation.name))
        return False

    decision = run(world, good, approve=refuse)
    assert not decision.promoted
    assert asked == [(8, "good")]
    assert "a person's approval is rejected" in decision.reason
    assert run(world, good, approve=lambda rows, evaluation: True).promoted


def test_approval_that_nobody_can_give_is_an_error_before_anything_happens(world: Any) -> None:
    world.settings = changed(world.settings, approval=True)
    with pytest.raises(PromotionError, match="nobody can approve here"):
        run(world, world.candidate("good", noise=1.0))
    assert world.tracker.versions(world.name) == []
