"""A test set wears out: every decision on it is counted, and the comparisons with champions spend a level."""

import hashlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.errors import PromotionError
from pneumo.evaluation.statistics.significance import significance
from pneumo.registry import test_set_use
from pneumo.registry.champion import champion, refused
from pneumo.registry.history import LONGEST_REASON, By, Entry, HistoryRow, RegistryState, history, read
from pneumo.registry.history import entries as entries_of
from pneumo.registry.promotion import entries
from pneumo.settings import Settings
from pneumo.settings.promotion import Promotion

CONTEST = "ROC AUC against the champion"
IMAGES = ["a" * 64, "b" * 64, "c" * 64]


@pytest.fixture
def command(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`pneumo champion` on the world's registry."""
    monkeypatch.setenv("PNEUMO_HOME", str(world.home))
    monkeypatch.setenv("PNEUMO_TRACKING__URI", world.tracker.uri)
    monkeypatch.setenv("PNEUMO_REGISTRY__MODEL", world.name)
    monkeypatch.setenv("COLUMNS", "400")

    def call(*options: str) -> str:
        done = CliRunner().invoke(app, ["champion", *options])
        assert done.exit_code == 0, done.output
        return done.stdout

    return call


def decided(evaluation: str, before: str | None, rows: list[HistoryRow], **changes: Any) -> HistoryRow:
    """What the history keeps of a decision that follows `rows`."""
    look = test_set_use.count_decision(rows, IMAGES, evaluation, before, Promotion())
    facts = {
        "number": len(rows) + 1, "id": evaluation, "when": datetime.now(UTC), "who": "A", "place": "here",
        "action": "rejection", "version": "1", "name": "n", "champion": before, "reason": "r", "evidence": "e",
        "evaluation": evaluation, "look": look, "took_effect": False,
    }  # fmt: skip
    return HistoryRow(**facts | changes)


def test_the_digest_is_that_of_the_images_in_any_order() -> None:
    assert test_set_use.digest(IMAGES) == test_set_use.digest(IMAGES[::-1]) != test_set_use.digest(IMAGES[:1])


def test_each_decision_is_a_look_and_each_comparison_spends_less() -> None:
    rows: list[HistoryRow] = []
    rows.append(decided("one", None, rows, action="promotion", took_effect=True))
    for name in ("two", "three", "four"):
        rows.append(decided(name, "1", rows))
    found = [row.look for row in rows if row.look]
    assert [look.number for look in found] == [1, 2, 3, 4]
    assert [look.promotions for look in found] == [0, 1, 1, 1]
    assert [look.comparison for look in found] == [0, 1, 2, 3]
    assert [look.significance for look in found] == [0.0, significance(1), significance(2), significance(3)]


def test_the_same_evaluation_against_the_same_champion_is_no_new_look() -> None:
    rows: list[HistoryRow] = []
    for name in ("one", "two"):
        rows.append(decided(name, "1", rows))
    again = test_set_use.count_decision(rows, IMAGES, "one", "1", Promotion())
    assert again == rows[0].look
    against_another = test_set_use.count_decision(rows, IMAGES, "one", "2", Promotion())
    assert (against_another.number, against_another.comparison) == (3, 3)


def test_of_two_looks_at_once_none_has_a_number_that_is_too_small() -> None:
    """Each announces itself before it counts; what both saw before that does not matter."""
    before = [decided("one", "1", [])]
    announced = [decided(name, "1", before, action="look") for name in ("two", "three")]
    assert [row.look.comparison for row in announced if row.look] == [2, 2]
    first = test_set_use.count_decision([*before, announced[0]], IMAGES, "two", "1", Promotion())
    second = test_set_use.count_decision([*before, *announced], IMAGES, "three", "1", Promotion())
    assert [look.comparison for look in (first, second)] == [2, 3]
    both = [
        test_set_use.count_decision([*before, *announced], IMAGES, name, "1", Promotion()) for name in ("two", "three")
    ]
    assert [look.comparison for look in both] == [3, 3]


def test_a_look_that_came_to_no_decision_counts_and_one_that_compared_nothing_does_not() -> None:
    rows = [decided("one", "1", [], action="look")]
    assert test_set_use.count_decision(rows, IMAGES, "two", "1", Promotion()).comparison == 2
    nothing = {"comparison": 0, "most": 0, "significance": 0.0}
    rows.append(rows[0].model_copy(update={"action": "rejection", "look": rows[0].look.model_copy(update=nothing)}))  # type: ignore[union-attr]
    found = test_set_use.count_decision(rows, IMAGES, "two", "1", Promotion())
    assert (found.number, found.comparison) == (2, 1)


@pytest.mark.parametrize(("compared", "announcements"), [(False, 1), (True, 0)])
def test_a_decision_that_compared_nothing_does_not_stand_for_an_announcement(
    monkeypatch: pytest.MonkeyPatch, compared: bool, announcements: int
) -> None:
    """It comes again and compares now: others have to see that while a person is asked."""
    row, written = decided("one", "1", []), []
    nothing = {"comparison": 0, "most": 0, "significance": 0.0}
    assert row.look
    rows = (row if compared else row.model_copy(update={"look": row.look.model_copy(update=nothing)}),)
    state = RegistryState(champion="1", rows=rows)
    monkeypatch.setattr(entries, "test_rows", lambda evaluation: pd.DataFrame({"sha256": IMAGES}))
    monkeypatch.setattr(entries, "_by", lambda *_: By("A", "here"))
    monkeypatch.setattr(entries.history, "append", lambda tracker, name, entry: written.append(entry))
    monkeypatch.setattr(entries.history, "registry_state", lambda *_: state)
    proposal: Any = SimpleNamespace(evaluation=SimpleNamespace(key="one", name="n"), parent_run="r")
    tracker: Any = None
    entries.announce_comparison(tracker, Settings(), "lungs", proposal, "2", state)
    assert len(written) == announcements


def test_a_grown_test_set_goes_on_and_another_begins_anew() -> None:
    """A source that grows has another test set every week: without this, no comparison would ever spend anything."""
    images = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1200)]
    rows = [decided("one", "1", [], look=test_set_use.count_decision([], images[:600], "one", "1", Promotion()))]
    for part, number in ((images[:660], 2), (images[100:700], 2), (images[500:1100], 1), (images[600:], 1)):
        found = test_set_use.count_decision(rows, part, "two", "1", Promotion())
        assert found.number == number
        assert found.test_set != rows[0].look.test_set  # type: ignore[union-attr]
    assert test_set_use.overlap(test_set_use.sketch(images[:600]), test_set_use.sketch(images[:750])) == pytest.approx(
        0.8, abs=0.15
    )


def test_after_so_many_comparisons_the_test_images_are_spent() -> None:
    rows, policy = [decided("one", "1", [])], Promotion(maximum_comparisons=1)
    spent = test_set_use.count_decision(rows, IMAGES, "two", "1", policy)
    assert (spent.spent, spent.significance) == (True, 0.0)
    assert not test_set_use.count_decision(rows, IMAGES, "one", "1", policy).spent
    assert not test_set_use.count_decision(rows, IMAGES, "two", "1", Promotion(maximum_comparisons=2)).spent


def test_where_a_tie_promotes_nothing_is_spent() -> None:
    """A wider interval would call worse models a tie, and promote them."""
    found = test_set_use.count_decision([decided("one", "1", [])], IMAGES, "two", "1", Promotion(tie="promote"))
    assert (found.number, found.comparison, found.significance, found.spent) == (2, 0, 0.0, False)


@pytest.mark.parametrize(
    "newer", [{"action": "merger"}, {"weight": 0.5}, {"look": {"kind": "split"}}], ids=["an action", "a key", "a look"]
)
def test_an_entry_that_only_a_newer_pneumo_knows_is_told_and_stands_for_nothing(newer: dict[str, Any]) -> None:
    known = json.loads(decided("a", None, []).model_dump_json(exclude={"took_effect", "withdrawn"}))
    assert entries_of({"pneumo.history.000001.a": json.dumps(known)})
    tags = {"pneumo.history.000001.a": json.dumps(known | newer)}
    with pytest.raises(
        PromotionError, match=r"that in the tag pneumo\.history\.000001\.a it cannot .* a newer one may"
    ):
        entries_of(tags)


def test_entries_of_before_looks_were_counted_can_be_read() -> None:
    row = decided("one", None, [])
    old = row.model_dump(mode="json", exclude={"took_effect", "withdrawn", "evaluation", "remedy", "look"})
    assert Entry.model_validate_json(json.dumps(old)).look is None


@pytest.mark.usefixtures("quick")
def test_looks_are_kept_with_the_model_and_shown(world: Any, command: Any) -> None:
    assert world.promote(world.candidate("weak", noise=4.0)).promoted
    worse = world.candidate("worse", noise=4.5)
    decision = world.promote(worse)
    assert decision.look == world.promote(worse).look
    better = world.promote(world.candidate("good", noise=0.5))
    assert better.promoted and better.look
    assert (better.look.number, better.look.comparison, better.look.promotions) == (3, 2, 1)
    assert f"at {1 - significance(2):.2%}" in world.row(better, CONTEST).value
    assert "comparison 2 on these test images" in world.row(better, CONTEST).value
    words = "Decision 3 on the 96 test images"
    assert words in world.tracker.registry.version(world.name, better.version).description
    info = champion(world.settings)
    assert info and (info.decisions, info.promotions) == (3, 2)
    assert "3 decisions so far, 2 promotions" in command()
    assert f"decision 3 on test images {better.look.test_set[:6]}" in " ".join(command("--history").split())
    assert json.loads(command("--json"))["look"]["number"] == 3


@pytest.mark.usefixtures("quick")
def test_a_spent_test_set_refuses_even_the_better_and_asks_for_fresh_images(world: Any) -> None:
    world.policy(maximum_comparisons=1)
    world.promote(world.candidate("weak", noise=4.0))
    world.promote(world.candidate("worse", noise=4.5))
    decision = world.promote(world.candidate("good", noise=0.2))
    assert not decision.promoted
    assert "at most 1 comparisons on the same test images" in decision.reason
    assert "add new ones" in world.row(decision, CONTEST).remedy
    assert history(world.settings)[-1].look.spent  # type: ignore[union-attr]


@pytest.mark.usefixtures("quick")
def test_a_refused_first_version_is_named_with_its_reason_and_what_to_do(world: Any, command: Any) -> None:
    assert command("--json").strip() == "null"
    assert "has no champion yet: run `make train`" in command()
    assert refused(world.settings) is None
    world.policy(minimum_auc=1.0)
    decision = world.promote(world.candidate("weak", noise=3.0))
    text = command()
    for part in ("Version 1 was refused on", decision.reason, f"What to do about {decision.remedies[0]}"):
        assert part in text, text
    told = json.loads(command("--json"))
    assert told["champion"] is None
    assert (told["refused"]["version"], told["refused"]["reason"]) == ("1", decision.reason)
    assert told["refused"]["remedy"] == decision.remedies[0]


@pytest.mark.usefixtures("quick")
def test_the_longest_entry_fits_a_tag(world: Any) -> None:
    world.policy(minimum_auc=1.0, minimum_sensitivity=1.0, maximum_calibration_error=0.0, maximum_slice_drop=0.0)
    world.promote(world.candidate("weak", noise=3.0))
    (entry,) = read(world.tracker, world.name)
    longest = entry.model_copy(
        update={"name": "n" * 200, "reason": "r" * LONGEST_REASON, "remedy": "r" * LONGEST_REASON}
    )
    assert len(longest.model_dump_json()) < 5000
