"""Back to an earlier champion, bit for bit."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.errors import PromotionError, TrackingError
from pneumo.registry import history as history_file
from pneumo.registry.barred import lift
from pneumo.registry.history import history, read
from pneumo.registry.promotion import alias_switch
from pneumo.registry.promotion.state_machine import ApprovalAnswer
from pneumo.registry.rollback import rollback
from pneumo.tracking.models.package import files_digest

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def three(world: Any) -> Any:
    """Champions 1, 2 and 3, each better than the one before."""
    for name, noise in (("weak", 4.0), ("fair", 1.5), ("good", 0.2)):
        assert world.promote(world.candidate(name, noise=noise)).promoted
    return world


def served(world: Any, folder: Path) -> str:
    """Digest of all that is downloaded for the champion."""
    return files_digest(world.tracker.files.download(f"models:/{world.name}@champion", folder))


def test_the_previous_champion_serves_again_bit_for_bit(world: Any, tmp_path: Path) -> None:
    world.promote(world.candidate("weak", noise=4.0))
    before = served(world, tmp_path / "before")
    world.promote(world.candidate("good", noise=0.5))
    assert served(world, tmp_path / "between") != before
    decision = rollback(world.settings, world.home, reason="too many false alarms")
    assert (decision.version, decision.champion_before) == ("1", "2")
    assert served(world, tmp_path / "after") == before
    assert world.aliases() == {"champion": "1", "challenger": "2", "previous": "2"}
    assert world.moves()[-1] == ("rollback", "1", True)
    assert history(world.settings)[-1].reason == "too many false alarms"


def test_a_rollback_can_be_undone_once_somebody_lifts_the_bar(three: Any) -> None:
    rollback(three.settings, three.home)
    assert three.aliases()["champion"] == "2"
    with pytest.raises(PromotionError, match="3 was rolled back: `pneumo lift 3` first"):
        rollback(three.settings, three.home, to=3)
    assert (
        three.tracker.registry.version(three.name, "3")
        .tags["barred"]
        .startswith("rolled back: went back from version 3")
    )
    lift(three.settings, three.home, "3")
    assert three.tracker.registry.version(three.name, "3").tags["barred"] == ""
    rollback(three.settings, three.home, to=3)
    assert three.aliases() == {"champion": "3", "challenger": "3", "previous": "2"}


def test_a_second_rollback_goes_further_back_and_not_to_what_was_rolled_back(three: Any) -> None:
    assert [rollback(three.settings, three.home).version for _ in range(2)] == ["2", "1"]
    with pytest.raises(PromotionError, match="there was none"):
        rollback(three.settings, three.home)


@pytest.mark.parametrize("again", ["the very evaluation", "the same weights, evaluated anew"])
def test_what_was_rolled_back_is_not_promoted_again_until_somebody_lifts_that(
    world: Any, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    world.promote(world.candidate("weak", noise=4.0))
    good = world.candidate("good", noise=0.5)
    world.promote(good)
    rollback(world.settings, world.home, reason="too many false alarms")
    if again != "the very evaluation":
        good = world.candidate("anew", noise=0.5)
    decision = world.promote(good)
    assert not decision.promoted and world.aliases()["champion"] == "1"
    told = r"was not promoted and version 1 stays champion: bar after a rollback is in force: version 2, which has the "
    told += r"same "
    assert re.search(told + r"weights, was rolled back by .* \(too many false alarms\)", decision.reason)
    assert decision.remedies == ("bar after a rollback: `pneumo lift 2` lets it be promoted again.",)
    assert decision.look is None, "no look at the test images was spent"
    for name, value in (("HOME", world.home), ("TRACKING__URI", world.tracker.uri), ("REGISTRY__MODEL", world.name)):
        monkeypatch.setenv(f"PNEUMO_{name}", str(value))
    done = CliRunner().invoke(app, ["lift", "2", "--reason", "the alarms were right"])
    assert done.exit_code == 0 and "version 2 is no longer barred: the alarms were right" in done.output
    assert world.moves()[-1] == ("lift", "2", False)
    assert world.promote(good).promoted
    with pytest.raises(PromotionError, match="got 2, which is not barred"):
        lift(world.settings, world.home, "2")


@pytest.mark.parametrize("by_hand", [None, "3"], ids=["removed", "set elsewhere"])
def test_a_bar_stays_whatever_a_person_does_to_the_alias(world: Any, by_hand: str | None) -> None:
    """Nothing was written between the rollback and the hand."""
    good = world.candidate("good", noise=0.5)
    world.promote(world.candidate("weak", noise=4.0))
    world.promote(good)
    if by_hand:
        world.promote(world.candidate("worse", noise=9.0))
    rollback(world.settings, world.home)
    world.tracker.registry.delete_alias(world.name, "champion")
    if by_hand:
        world.tracker.registry.set_alias(world.name, "champion", by_hand)
    assert world.moves()[-1] == ("rollback", "1", True)
    assert not world.promote(good).promoted
    assert "version 2, which has the same weights, was rolled back by" in history(world.settings)[-1].reason
    lift(world.settings, world.home, "2")
    assert world.promote(good).promoted


def test_a_rollback_that_ended_without_a_word_bars_all_the_same(world: Any) -> None:
    """Nobody knows how far it came: who finds that it should not bar lifts it."""
    good = world.candidate("good", noise=0.5)
    world.promote(world.candidate("weak", noise=4.0))
    world.promote(good)
    real = history_file.append

    def gone(tracker: Any, name: str, entry: Any) -> None:
        if entry.action == "withdrawal":
            raise TrackingError("the network is gone")
        real(tracker, name, entry)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrackingError):
        patch.setattr(history_file, "append", gone)
        patch.setattr(alias_switch, "move", lambda *_: gone(None, "", SimpleNamespace(action="withdrawal")))
        rollback(world.settings, world.home)
    assert world.aliases()["champion"] == "2" and world.moves()[-1] == ("rollback", "1", False)
    world.tracker.registry.delete_alias(world.name, "champion")
    assert "bar after a rollback is in force" in world.promote(good).reason


def test_a_bar_outlives_its_version(world: Any) -> None:
    """Old versions are deleted; the same weights are known again all the same, and the bar can be lifted."""
    world.promote(world.candidate("weak", noise=4.0))
    world.promote(world.candidate("good", noise=0.5))
    rollback(world.settings, world.home)
    world.tracker.registry.delete_version(world.name, "2")
    assert not world.promote(world.candidate("anew", noise=0.5)).promoted
    lift(world.settings, world.home, "2")
    assert world.promote(world.candidate("once more", noise=0.5)).promoted


def test_any_earlier_champion_can_be_named_in_the_command(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_HOME", str(three.home))
    monkeypatch.setenv("PNEUMO_TRACKING__URI", three.tracker.uri)
    monkeypatch.setenv("PNEUMO_REGISTRY__MODEL", three.name)
    done = CliRunner().invoke(app, ["rollback", "--to", "1", "--reason", "the second was wrong, too", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["version"] == "1"
    assert three.aliases()["champion"] == "1"
    done = CliRunner().invoke(app, ["champion", "--history", "--json"])
    assert json.loads(done.stdout)[-1]["reason"] == "the second was wrong, too"
    lines = CliRunner().invoke(app, ["champion", "--history"]).stdout.splitlines()
    assert max(map(len, lines)) <= 80 and "    the second was wrong, too" in [line.rstrip() for line in lines]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC  rollback of version 1, by ", lines[-2])


@pytest.mark.slow
def test_a_flow_does_the_same_and_says_why(three: Any, prefect_server: str) -> None:
    program = """
from flows.rollback import rollback
from tasks import promotion

promotion.requester = lambda settings: "unknown (Prefect's page)"  # as a run of a deployment knows it
print(rollback("1", "by night", return_state=True).message)
"""
    environment = os.environ | {
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(three.folder / "prefect"),
        "PNEUMO_HOME": str(three.home),
        "PNEUMO_TRACKING__URI": three.tracker.uri,
        "PNEUMO_REGISTRY__MODEL": three.name,
    }
    project = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=project, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith(f"{three.name} version 1: by night"), done.stderr
    assert three.aliases() == {"champion": "1", "challenger": "3", "previous": "3"}
    assert history(three.settings)[-1].who == "unknown (Prefect's page)"


def test_what_was_never_champion_is_refused(three: Any) -> None:
    three.policy(approval=True)
    refused = three.candidate("refused", noise=0.1)
    three.promote(refused, approve=lambda rows, best: ApprovalAnswer(approved=False, said="no"))
    with pytest.raises(PromotionError, match=r"that was champion before, got 4: give one of 1, 2, since"):
        rollback(three.settings, three.home, to=4)
    with pytest.raises(PromotionError, match="version 3 is the champion already"):
        rollback(three.settings, three.home, to=3)


def test_without_an_earlier_champion_there_is_nothing_to_go_back_to(world: Any) -> None:
    world.promote(world.candidate("only", noise=1.0))
    with pytest.raises(PromotionError, match=r"an earlier champion of .* to go back to, but there was none"):
        rollback(world.settings, world.home)


def test_files_that_were_changed_in_the_store_are_refused(world: Any) -> None:
    weak = world.candidate("weak", noise=4.0)
    world.promote(weak)
    world.promote(world.candidate("good", noise=0.5))
    store = world.tracker.client.get_logged_model(weak.model_uri.removeprefix("models:/")).artifact_location
    (kept,) = Path(store.removeprefix("file://")).rglob("serving.json")
    kept.write_text(kept.read_text().replace("4.0", "0.0"))
    with pytest.raises(PromotionError, match="it was changed in the artifact store"):
        rollback(world.settings, world.home)
    assert world.aliases()["champion"] == "2"


def test_an_error_on_the_way_leaves_everything_as_it_was(three: Any) -> None:
    before, real = three.aliases(), type(three.tracker.registry).set_alias
    for fails in ("previous", "champion"):

        def set_alias(self: Any, name: str, alias: str, version: str, fails: str = fails) -> None:
            if alias == fails and version != before[fails]:
                raise TrackingError("the network is gone")
            real(self, name, alias, version)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(TrackingError, match="the network is gone"):
            patch.setattr(type(three.tracker.registry), "set_alias", set_alias)
            rollback(three.settings, three.home)
        assert three.aliases() == before
        assert three.moves()[-1][2] is False


def test_the_history_is_only_ever_added_to(three: Any) -> None:
    before = read(three.tracker, three.name)
    rollback(three.settings, three.home)
    three.promote(three.candidate("worse", noise=9.0))
    after = read(three.tracker, three.name)
    assert after[: len(before)] == before
    assert [entry.action for entry in after[len(before) :]] == ["rollback", "look", "rejection"]
    assert [entry.number for entry in after] == list(range(1, 9))
    assert all(entry.who and entry.reason and entry.evidence for entry in after)
