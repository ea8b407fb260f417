"""Moving the champion's alias with real processes: killed at any step, or two at the same time."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumo.errors import PromotionError
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import claim
from pneumo.registry.promotion.state_machine import promote
from pneumo.tracking.models.registry import ModelRegistry

PLACES = ["register", "announce", "challenger", "previous", "champion", "describe", "end"]
MOVED = ("describe", "end")  # places after the move of the champion
pytestmark = [pytest.mark.services, pytest.mark.usefixtures("quick")]


class Promoter:
    """A process that promotes when told to."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("promoter.py")
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, world: Any, evaluation: Evaluation, home: Path, **changes: Any) -> None:
        job = {
            "evaluation": evaluation.model_dump(mode="json"),
            "version": world.version.model_dump(mode="json"),
            "settings": world.settings.model_dump(mode="json"),
            "home": str(home),
            "parent": world.parent,
            "die": "",
            "wait": [],
            **changes,
        }
        self.process.stdin.write(json.dumps(job) + "\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]

    def answer(self) -> str:
        return str(json.loads(self.process.stdout.readline()))  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def promoters() -> Iterator[tuple[Promoter, Promoter]]:
    pair = Promoter(), Promoter()
    yield pair
    for promoter in pair:
        promoter.process.communicate(timeout=30)


@pytest.fixture
def poller(world: Any) -> Iterator[list[str]]:
    """Asks all the time who is champion; what it saw, and anything that was wrong about it."""
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            number = world.tracker.registry.alias(world.name, "champion")
            if number is None or world.tracker.registry.version(world.name, number) is None:
                seen.append(f"dangling: {number}")
            elif [number] != seen[-1:]:
                seen.append(number)

    thread = threading.Thread(target=look)
    yield (seen, thread)  # type: ignore[misc]
    over.set()
    if thread.ident:
        thread.join()


@pytest.mark.slow
def test_a_promotion_killed_at_any_step_leaves_a_champion_and_the_next_one_succeeds(
    world: Any, promoters: tuple[Promoter, Promoter], poller: Any
) -> None:
    world.policy(tie="promote")
    assert world.promote(world.candidate("first", noise=2.0, seed=1)).promoted
    seen, thread = poller
    thread.start()
    champions = ["1"]
    for place, name in enumerate(PLACES, start=1):
        better = world.candidate(name, noise=2.0 - place / 8, seed=1)
        promoters[0].tell(world, better, world.home, die=name)
        assert promoters[0].answer() == "killed"
        survivor = world.tracker.registry.alias(world.name, "champion")
        assert (survivor == champions[-1]) is (name not in MOVED), name
        decision = world.promote(better)
        assert decision.promoted is (name not in MOVED), decision.reason
        assert len(world.tracker.registry.versions(world.name)) == place + 1, (
            "a killed promotion left a version too many"
        )
        champions.append(str(place + 1))
        assert world.aliases()["champion"] == champions[-1]
        assert world.aliases()["previous"] == champions[-2]
    assert seen == champions
    assert [version for _, version, took in world.moves() if took] == champions


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True], ids=["two machines", "one machine"])
def test_two_promotions_at_the_same_time_cannot_both_win(
    world: Any, promoters: tuple[Promoter, Promoter], tmp_path: Path, shared: bool
) -> None:
    world.promote(world.candidate("weak", noise=4.0))
    homes = [world.home / "one", world.home / ("one" if shared else "two")]
    for number in range(4):
        before = world.aliases()["champion"]
        world.policy(tie="promote")
        pair = [world.candidate(f"{name}{number}", noise=2.0, seed=10 * number + ord(name)) for name in "ab"]
        marks = [str(tmp_path / f"{shared}-{number}-{place}") for place in range(2)]
        waits = [[], []] if shared else [marks, marks[::-1]]
        for promoter, evaluation, home, wait in zip(promoters, pair, homes, waits, strict=True):
            promoter.tell(world, evaluation, home, wait=wait)
        answers = [promoter.answer() for promoter in promoters]
        won = [answer for answer in answers if answer.isdecimal()]
        if shared:
            # One waits for the other, and is then compared with it.
            assert world.aliases()["champion"] in won, answers
        else:
            assert len(won) <= 1, answers
            assert world.aliases()["champion"] == (won[0] if won else before), answers
            assert any("at the same time" in answer for answer in answers), answers


def test_a_promotion_that_slept_through_another_one_does_not_win_after_all(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote(world.candidate("weak", noise=4.0))
    slow, quick = world.candidate("slow", noise=1.0), world.candidate("quick", noise=1.0, seed=1)
    real, slept = ModelRegistry.set_alias, []

    def sleep(self: ModelRegistry, name: str, alias: str, version: str) -> None:
        real(self, name, alias, version)
        if version == "2" and not slept:
            slept.append(version)
            monkeypatch.setattr(claim, "held_seconds", lambda: 0)  # as if it had slept for longer
            elsewhere = world.home / "elsewhere"
            assert promote([quick], world.version, world.settings, elsewhere, world.parent).promoted

    monkeypatch.setattr(ModelRegistry, "set_alias", sleep)
    with pytest.raises(PromotionError, match="at the same time"):
        world.promote(slow)
    assert world.aliases() == {"champion": "3", "challenger": "3", "previous": "1"}
    assert world.row(world.promote(slow), "ROC AUC against the champion").limit.startswith("better than version 3")


def test_a_promotion_whose_claim_is_too_old_does_not_move_the_champion(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that began after it might arrive when others no longer wait for it."""
    monkeypatch.setattr(claim, "longest_call", lambda: 0)
    with pytest.raises(PromotionError, match=r"within 0 s of announcing it, but \d+ s have passed"):
        world.promote(world.candidate("slow", noise=1.0))
    assert world.aliases() == {"champion": None, "challenger": None, "previous": None}
