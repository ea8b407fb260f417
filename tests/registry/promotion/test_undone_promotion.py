"""A promotion that fails, is interrupted, or comes too late: nothing is left that says what did not happen."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pneumo.errors import PromotionError, TrackingError
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.champion import refused
from pneumo.registry.history import history
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.state_machine import ApprovalAnswer, promote
from pneumo.tracking.models.registry import ModelRegistry
from pneumo.tracking.run_log import RunLog

pytestmark = pytest.mark.usefixtures("quick")

WRITES = [
    *((ModelRegistry, name) for name in ("register", "set_model_tag", "set_alias", "describe_version")),
    (RunLog, "text"),
]


@contextmanager
def failing_at(place: int) -> Iterator[list[int]]:
    """The call of this place among those that write is refused; the list gets the place when that happened."""
    happened: list[int] = []
    count = itertools.count()

    def refusing(real: Any) -> Any:
        def call(*args: Any) -> Any:
            if "pneumo.history" in str(args) and '"action":"look"' in str(args):
                return real(*args)  # a look is announced once, and stays
            if next(count) == place:
                happened.append(place)
                raise TrackingError("the network is gone")
            return real(*args)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for part, name in WRITES:
            patch.setattr(part, name, refusing(getattr(part, name)))
        yield happened


def test_an_error_leaves_every_alias_as_it_was_and_the_version_with_a_note(world: Any) -> None:
    """Whichever call it is that fails; nothing is deleted, and the next run goes on with the version."""
    world.promote(world.candidate("weak", noise=3.0))
    before, failed = world.aliases(), 0
    better = world.candidate("good", noise=0.5)
    while True:
        with failing_at(failed) as calls:
            try:
                decision = world.promote(better)
            except TrackingError:
                pass
            else:
                break
        failed += 1
        assert calls == [failed - 1]
        assert world.aliases() == before
        assert [row.version for row in history(world.settings) if row.took_effect] == ["1"]
        written = world.tracker.registry.versions(world.name)[-1].description
        assert "and replaces version 1" not in written, f"a card of what was undone: {written}"
        notes = [item.tags.get(version_evidence.UNDONE, "") for item in world.tracker.registry.versions(world.name)]
        assert notes[0] == "" and len(notes) <= 2
        if failed == 3:  # it had just been registered
            assert notes[1] == f"run {world.parent} ended before its decision"
    assert failed == 9
    assert decision.promoted and decision.version == "2"
    assert not world.tracker.registry.version(world.name, "2").tags[version_evidence.UNDONE]


def test_an_undone_run_leaves_alone_what_another_one_has_moved_meanwhile(world: Any) -> None:
    world.policy(approval=True)
    first, second = world.candidate("first", noise=1.0), world.candidate("second", noise=0.5)

    def interrupted(rows: list[PolicyRow], evaluation: Evaluation) -> ApprovalAnswer:
        agreed = ApprovalAnswer(approved=True, said="approved by A")
        assert world.promote(second, approve=lambda *_: agreed).promoted
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.promote(first, approve=interrupted)
    assert world.aliases() == {"champion": "2", "challenger": "2", "previous": None}
    assert [item.version for item in world.tracker.registry.versions(world.name)] == ["1", "2"]


def test_a_version_that_another_run_made_champion_meanwhile_is_not_marked_as_undone(world: Any) -> None:
    """Both have the same evaluation, and so the same version."""
    world.policy(approval=True)
    good, agreed = world.candidate("good", noise=1.0), ApprovalAnswer(approved=True, said="approved by A")

    def interrupted(rows: list[PolicyRow], evaluation: Evaluation) -> ApprovalAnswer:
        elsewhere = world.tracker.runs.start("elsewhere")
        promote([good], world.version, world.settings, world.home, elsewhere, lambda *_: agreed)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.promote(good, approve=interrupted)
    assert world.aliases()["champion"] == "1"
    assert not world.tracker.registry.version(world.name, "1").tags[version_evidence.UNDONE]


def test_a_no_that_comes_too_late_is_said_and_no_rejection_of_what_serves(world: Any) -> None:
    """Two runs of the same evaluation: one is approved while the person of the other one still thinks."""
    world.policy(approval=True)
    good, agreed = world.candidate("good", noise=1.0), ApprovalAnswer(approved=True, said="approved by B")

    def late(rows: list[PolicyRow], evaluation: Evaluation) -> ApprovalAnswer:
        elsewhere = world.tracker.runs.start("elsewhere")
        assert promote([good], world.version, world.settings, world.home, elsewhere, lambda *_: agreed).promoted
        return ApprovalAnswer(approved=False, said="rejected by A: it looks at the corners")

    with pytest.raises(PromotionError, match=r"rejected by A: it looks at .* it keeps serving, `pneumo roll"):
        world.promote(good, approve=late)
    assert world.aliases()["champion"] == "1"
    assert "passed all 9 gates" in world.tracker.registry.version(world.name, "1").description
    (look, rejection) = [row for row in history(world.settings) if row.action in ("promotion", "rejection")]
    assert (look.took_effect, rejection.withdrawn) == (True, True)
    assert refused(world.settings) is None


def test_a_promotion_that_loses_the_switch_leaves_no_card_and_no_decision(world: Any, tmp_path: Any) -> None:
    world.promote(world.candidate("weak", noise=4.0))
    good, real = world.candidate("good", noise=0.5), ModelRegistry.set_alias

    def moved_by_hand(self: ModelRegistry, name: str, alias: str, version: str) -> None:
        real(self, name, alias, version)
        if alias == "previous":
            self.delete_alias(name, "champion")

    run = world.tracker.runs.start("loses")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(PromotionError, match="at the same time"):
        patch.setattr(ModelRegistry, "set_alias", moved_by_hand)
        promote([good], world.version, world.settings, world.home, run)
    assert world.tracker.registry.version(world.name, "2").description.startswith("good on folder, under evaluation")
    with pytest.raises(TrackingError):
        world.tracker.files.download(f"runs:/{run}/promotion/decision.json", tmp_path / "none")
