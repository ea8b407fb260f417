"""A promotion from end to end: who is chosen, what is compared, who is asked, what is kept."""

import json
from typing import Any

import pandas as pd
import pytest

from pneumo.errors import PromotionError
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.champion import champion
from pneumo.registry.history import history
from pneumo.registry.promotion.proposal import choose
from pneumo.registry.promotion.state_machine import ApprovalAnswer

pytestmark = pytest.mark.usefixtures("quick")


def test_the_first_champion_needs_just_the_gates_and_can_then_be_used(world: Any) -> None:
    decision = world.promote(world.candidate("weak", noise=4.0), world.candidate("good", noise=2.0))
    assert decision.promoted, decision.reason
    assert (decision.name, decision.version, decision.champion_before) == ("good", "1", None)
    assert world.aliases() == {"champion": "1", "challenger": "1", "previous": None}
    info = champion(world.settings)
    assert info is not None
    assert (info.version, info.name, info.dataset_digest) == ("1", "good", world.version.digest)
    assert info.auc is not None
    assert info.auc.low <= info.auc.value <= info.auc.high
    assert info.since is not None
    model = world.tracker.files.load_pyfunc(f"models:/{world.name}@champion")
    image = (world.version.root / "0.png").read_bytes()
    assert 0 <= model.predict(pd.DataFrame({"image": [image]}))["probability"][0] <= 1


def test_the_candidate_is_chosen_by_validation_never_by_test(world: Any) -> None:
    first, second = world.candidate("first", noise=1.0), world.candidate("second", noise=3.0)
    assert first.test_auc.value > second.test_auc.value
    assert choose([first, second.model_copy(update={"selection_score": 1.0})]).name == "second"
    with pytest.raises(PromotionError, match="at least one evaluated candidate"):
        choose([])


@pytest.mark.parametrize(("behind", "chosen"), [(0.0019, "ensemble"), (0.0021, "single")])
def test_within_noise_the_ensemble_is_chosen(world: Any, behind: float, chosen: str) -> None:
    single = world.candidate("single", noise=1.0).model_copy(update={"name": "single", "selection_score": 0.99})
    ensemble = single.model_copy(update={"name": "ensemble", "selection_score": 0.99 - behind})
    assert choose([single, ensemble]).name == chosen


def test_a_better_challenger_replaces_the_champion_which_becomes_previous(world: Any) -> None:
    world.promote(world.candidate("weak", noise=3.0))
    decision = world.promote(world.candidate("good", noise=0.5))
    assert decision.promoted, decision.reason
    assert decision.champion_before == "1"
    assert world.aliases() == {"champion": "2", "challenger": "2", "previous": "1"}
    assert "DeLong p" in world.row(decision, "ROC AUC against the champion").value
    assert world.moves() == [("promotion", "1", True), ("promotion", "2", True)]


def test_a_worse_challenger_stays_challenger_with_a_reason(world: Any) -> None:
    world.promote(world.candidate("good", noise=0.5))
    decision = world.promote(world.candidate("weak", noise=3.0))
    assert not decision.promoted
    assert "was not promoted and version 1 stays champion: ROC AUC against the champion" in decision.reason
    assert world.aliases() == {"champion": "1", "challenger": "2", "previous": None}
    entry = history(world.settings)[-1]
    assert (entry.action, entry.version, entry.took_effect, entry.champion) == ("rejection", "2", False, "1")


def test_the_same_candidate_again_changes_nothing(world: Any) -> None:
    good = world.candidate("good", noise=1.0)
    world.promote(good)
    decision = world.promote(good)
    assert not decision.promoted
    assert "is already the champion (version 1)" in decision.reason
    assert len(world.tracker.registry.versions(world.name)) == 1


def test_evidence_and_model_card_are_kept_with_the_run(world: Any, tmp_path: Any) -> None:
    decision = world.promote(world.candidate("good", noise=1.0))
    evidence = world.tracker.files.download(f"runs:/{world.parent}/promotion/decision.json", tmp_path / "evidence")
    found = json.loads(evidence.read_text())
    assert found["decision"]["version"] == decision.version
    assert found["policy"]["minimum_auc"] == 0.6
    assert world.tracker.files.download(f"runs:/{decision.run_id}/card.html", tmp_path / "card").is_file()
    description = world.tracker.registry.version(world.name, "1").description
    assert description.startswith("**Not a medical device.**")


def test_synthetic_data_has_a_registered_model_of_its_own(world: Any) -> None:
    world.promote(world.candidate("real", noise=2.0))
    real = world.aliases()
    world.version = world.version.model_copy(update={"synthetic": True})
    decision = world.promote(world.candidate("drawn", noise=0.1))
    assert decision.registered_model == world.settings.registry.phantom_model
    assert decision.promoted
    assert world.tracker.registry.version(world.name, "1").description.startswith("**Synthetic")
    world.version = world.version.model_copy(update={"synthetic": False})
    assert world.aliases() == real
    assert champion(world.settings, synthetic=True).synthetic  # type: ignore[union-attr]


def test_who_was_approved_while_the_champion_changed_is_compared_with_the_new_one_and_asked_about_again(
    world: Any,
) -> None:
    world.promote(world.candidate("weak", noise=4.0))
    asked: list[str] = []
    best, middle = world.candidate("best", noise=0.2), world.candidate("middle", noise=1.5)

    def approve(rows: list[PolicyRow], evaluation: Evaluation) -> ApprovalAnswer:
        asked.append(next(row.limit for row in rows if row.name == "ROC AUC against the champion"))
        if len(asked) == 1:
            world.policy(approval=False)
            assert world.promote(middle).promoted
        return ApprovalAnswer(approved=True, said="approved by A")

    world.policy(approval=True)
    decision = world.promote(best, approve=approve)
    assert decision.promoted and decision.champion_before == "3"
    looks = [row.look for row in history(world.settings) if row.action == "look" and row.version == "2"]
    assert [look.comparison for look in looks if look] == [1, 3], "each champion is compared with, and it counts"
    assert asked == [f"better than version {version} (a tie keeps it)" for version in (1, 3)]
    assert world.aliases() == {"champion": "2", "challenger": "2", "previous": "3"}


def test_a_person_can_refuse_what_passed_every_gate(world: Any) -> None:
    world.policy(approval=True)
    good, asked = world.candidate("good", noise=1.0), []

    def refuse(rows: list[PolicyRow], evaluation: Evaluation) -> ApprovalAnswer:
        asked.append((len(rows), evaluation.name))
        return ApprovalAnswer(approved=False, said="rejected by Dr Who: the heat maps look at the corners")

    decision = world.promote(good, approve=refuse)
    assert not decision.promoted
    assert asked == [(8, "good")]
    assert "approval by a person is rejected by Dr Who: the heat maps look at the corners" in decision.reason
    assert world.promote(
        good, approve=lambda rows, evaluation: ApprovalAnswer(approved=True, said="approved by A")
    ).promoted


def test_approval_that_nobody_can_give_is_an_error_before_anything_happens(world: Any) -> None:
    world.policy(approval=True)
    with pytest.raises(PromotionError, match="nobody can approve here"):
        world.promote(world.candidate("good", noise=1.0))
    assert world.tracker.registry.versions(world.name) == []
