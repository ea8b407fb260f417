"""Two runs on two machines, in every order that their calls of the registry can come in.

Each run goes on only when it is told to: up to its next read of the registered model, announcement or move of the
champion, or word of a person. All merges of the two sequences are tried, also with one run that dies or fails at any of
these calls. What a run is judged by, and how a card reads, is made up; registry, history, claims and undo are real.
"""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from pneumo.errors import PromotionError, TrackingError
from pneumo.evaluation.statistics.paired_difference import Comparison
from pneumo.evaluation.statistics.significance import significance
from pneumo.records.base import Interval
from pneumo.records.decision import Decision, PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry import rollback
from pneumo.registry.history import HistoryRow
from pneumo.registry.model_card import Card
from pneumo.registry.promotion import claim, entries, judgement, version_evidence
from pneumo.registry.promotion.comparison import ChampionComparison
from pneumo.tracking import Tracker
from pneumo.tracking.connection import longest_call
from pneumo.tracking.models.registry import ModelRegistry
from pneumo.tracking.run_log import RunLog
from pneumo.tracking.runs import Runs
from tests.registry.promotion.interleaved_runs import DeadError, Run, merges, play, waiting
from tests.registry.promotion.interleaved_table import ACTS, PROMOTED, QUALITY, Table
from tests.registry.promotion.memory import Memory

WATCHED = ("registered", "set_model_tag", "set_alias", "delete_alias", "set_version_tags", "register")
WATCHED += ("describe_version",)


@dataclass
class Written:
    """What was spent on comparisons, and whether the decision that is kept with a run says that it promoted."""

    spent: list[float] = field(default_factory=list)
    decisions: dict[str, bool] = field(default_factory=dict)


@pytest.fixture(autouse=True)
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Judgements by QUALITY, and a registry whose calls wait for their turn where a `Run` makes them."""
    written = Written()

    def contest(
        tracker: Any, champion: Any, evaluation: Evaluation, _: Any, spends: float, *__: Any
    ) -> ChampionComparison:
        written.spent.append(spends)
        ours, theirs = QUALITY[evaluation.name], QUALITY[champion.tags["candidate"]]
        sure = Interval(value=ours - theirs, low=ours - theirs, high=ours - theirs)
        compared = Comparison(first=ours, second=theirs, delong=sure, p_value=0.5, bootstrap=sure)
        return ChampionComparison(
            champion=champion.version, images=9, seen=0, trained_on_known=True, comparison=compared
        )

    def row(*_: Any) -> PolicyRow:
        return PolicyRow(name="registered version in a fresh process", limit="", value="", passed=True)

    def nothing(*_: Any, **__: Any) -> str:
        return ""

    def text(_: Any, run_id: str, content: str, path: str) -> None:
        if path == version_evidence.DECISION and run_id:
            written.decisions[run_id] = json.loads(content)["decision"]["promoted"]

    def card(evaluation: Any, data: Any, decision: Decision, *_: Any) -> Card:
        return Card(markdown=PROMOTED if decision.promoted else "refused", html="")

    monkeypatch.setattr(judgement, "compare_with_champion", contest)
    monkeypatch.setattr(judgement, "query_row", row)
    monkeypatch.setattr(entries, "test_rows", lambda _: {"sha256": ["x"]})
    monkeypatch.setattr(judgement.model_card, "write", card)
    monkeypatch.setattr(judgement.dossier, "of_decision", lambda *_: None)
    for module, name in ((rollback, "check_example"), (version_evidence, "check_files"), (version_evidence, "keep")):
        monkeypatch.setattr(module, name, nothing)
    for name in ("start", "finish", "url"):
        monkeypatch.setattr(Runs, name, nothing)
    monkeypatch.setattr(RunLog, "text", waiting("text", text))
    for name in WATCHED:
        monkeypatch.setattr(ModelRegistry, name, waiting(name, getattr(ModelRegistry, name)))
    return written


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Table]:
    """The same beginning again and again: `first` was champion, and `second` is."""
    folder = tmp_path_factory.mktemp("table")
    made: list[Memory] = []

    def again(patch: pytest.MonkeyPatch) -> Table:
        client = copy.deepcopy(made[0]) if made else Memory()
        patch.setattr("pneumo.tracking.client.connect", lambda *_: client)
        table = Table("lungs", folder)
        if not made:
            table.promote("first")
            table.promote("second")
            made.append(copy.deepcopy(client))
        return table

    return again


def steps(tables: Callable[..., Table], patch: pytest.MonkeyPatch, act: str, **fate: Any) -> int:
    """How many steps a run takes that is alone."""
    table = tables(patch)
    run, count = Run(lambda: ACTS[act](table), **fate), 0
    while not run.over:
        run.step()
        count += 1
    return count


def played(
    tables: Callable[..., Table],
    patch: pytest.MonkeyPatch,
    pair: Sequence[str],
    before: Callable[[], Any] = list,
    **fate: Any,
) -> Iterator[tuple[Table, tuple[Run, Run]]]:
    """Two runs in every order; the first one has a fate."""
    at = {"at": fate.get("at", "moves")}
    lengths = steps(tables, patch, pair[0], **fate), steps(tables, patch, pair[1], **at)
    for order in merges(*lengths):
        table = tables(patch)
        before()
        both = Run(partial(ACTS[pair[0]], table), **fate), Run(partial(ACTS[pair[1]], table), **at)
        play(order, *both)
        yield table, both


def require_sane(table: Table, pair: tuple[Run, Run]) -> None:
    """What must hold however it went."""
    end, died = table.end(), any(run.dead for run in pair)
    aliases, moves = end["aliases"], end["moves"]
    # Each champion replaced the very one that it was compared with, and none was lost.
    assert [champion for champion, _ in moves] == [None, *(version for _, version in moves[:-1])]
    assert aliases["champion"] == moves[-1][1]
    # Who dies right before the champion's move has moved `previous`; it names the champion until the next move.
    assert aliases["previous"] == moves[-1][0] or (died and aliases["previous"] == aliases["champion"])
    assert list(end["versions"]) == [str(number + 1) for number in range(len(end["versions"]))]
    assert not set(end["undone"]) & set(aliases.values())
    won = [run.decision.version for run in pair if run.decision and run.decision.promoted]
    taken = [version for _, version in moves[2:]]
    assert sorted(won) == sorted(taken) or (died and set(won) <= set(taken))
    by_card = set(end["promoted by their cards"])
    assert by_card <= {version for _, version in moves}, "a card says what did not happen"
    assert died or {version for _, version in moves} == by_card, "a card does not say what happened"
    judged = [run.decision.version for run in pair if run.decision and run.decision.name in ("a", "b", "worse")]
    if len(judged) == 1 and not died:
        assert aliases["challenger"] == judged[0], "the undo of the other one took it away"
    for run in pair:
        fate = (DeadError if run.dead else TrackingError,) if run.ending else ()
        assert run.error is None or isinstance(run.error, (PromotionError, *fate)), run.error


@pytest.mark.parametrize("pair", [("a", "b"), ("b", "rollback"), ("rollback", "another rollback")], ids="-".join)
def test_in_every_order_each_champion_replaces_the_one_it_was_compared_with(
    tables: Any, monkeypatch: pytest.MonkeyPatch, pair: tuple[str, str]
) -> None:
    winners = set()
    for table, both in played(tables, monkeypatch, pair):
        require_sane(table, both)
        winners |= {version for _, version in table.end()["moves"]}
    assert len(winners) == 2 + len({"a", "b"} & set(pair)), "the orders are too alike"


@pytest.mark.parametrize("pair", [("a refused", "a approved"), ("a approved", "rollback")], ids="-".join)
def test_in_every_order_history_card_and_decision_say_what_became_of_a_person_s_word(
    tables: Any, monkeypatch: pytest.MonkeyPatch, written: Written, pair: tuple[str, str]
) -> None:
    """Two runs of the same evaluation have one version, which may serve already when the word on it comes."""
    late = 0
    for table, both in played(tables, monkeypatch, pair):
        require_sane(table, both)
        for run, act in zip(both, pair, strict=True):
            promoted = run.decision is not None and run.decision.promoted
            assert act == "rollback" or written.decisions.pop(f"run-{act}", False) == promoted
        if "another run has made it champion meanwhile" in str(both[0].error):
            assert table.end()["rejected"] == []
            late += 1
    assert (late > 0) == (pair[0] == "a refused")


@pytest.mark.parametrize("pair", [("a", "b"), ("worse", "b")], ids="-".join)
def test_in_every_order_of_two_looks_no_level_is_spent_twice(
    tables: Any, monkeypatch: pytest.MonkeyPatch, written: Written, pair: tuple[str, str]
) -> None:
    """One comparison was made before; the next two, together, spend no more than the second and third level."""
    orders = 0
    for _ in played(tables, monkeypatch, pair, before=written.spent.clear, at="looks"):
        levels = [significance(number) for number in range(2, 2 + len(written.spent))]
        assert all(spent <= level for spent, level in zip(sorted(written.spent)[::-1], levels, strict=True))
        orders += 1
    assert orders == 20


@pytest.mark.slow
@pytest.mark.parametrize("how", ["dies", "is refused", "loses the answer"])
@pytest.mark.parametrize("pair", [("b", "a"), ("b", "worse"), ("b", "rollback"), ("rollback", "b")], ids="-".join)
def test_a_run_that_ends_at_any_call_takes_nothing_from_the_other_one(
    tables: Any, monkeypatch: pytest.MonkeyPatch, pair: tuple[str, str], how: str
) -> None:
    for ends in range(1, steps(tables, monkeypatch, pair[0])):
        for table, both in played(tables, monkeypatch, pair, ends=ends, how=how):
            require_sane(table, both)


def test_after_a_death_the_next_one_waits_for_as_long_as_the_dead_one_could_still_move(
    tables: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tables(monkeypatch)
    last = steps(tables, monkeypatch, "a") - 1
    dead = Run(lambda: table.promote("a"), ends=last, how="dies")
    table = tables(monkeypatch)
    play((), dead)
    with pytest.raises(PromotionError, match=r"announced version 3 .* run again in \d+ s"):
        table.promote("b")
    assert claim.held_seconds() > 2 * longest_call()
    monkeypatch.setattr(claim, "held_seconds", lambda: 0)
    assert table.promote("later").promoted


def test_an_announcement_of_a_clock_that_is_far_ahead_keeps_nobody_off() -> None:
    row = HistoryRow.model_construct(
        when=datetime.now(UTC) + timedelta(days=365),
        action="promotion",
        place="elsewhere",
        took_effect=False,
        withdrawn=False,
        who="anna",
        version="3",
    )
    claim.refuse_pending([row], "here")
    with pytest.raises(PromotionError, match="anna announced version 3"):
        claim.refuse_pending([row.model_copy(update={"when": datetime.now(UTC) + timedelta(seconds=30)})], "here")


@pytest.mark.slow
@pytest.mark.services
def test_a_real_server_ends_as_the_one_in_memory(
    tables: Any, monkeypatch: pytest.MonkeyPatch, tracker: Tracker
) -> None:
    """So that the registry in memory is worth what it says; a few orders, as each takes seconds here."""
    made = {who: tracker.client.create_logged_model(tracker.runs.experiment_id).model_uri for who in QUALITY}
    lengths = [steps(tables, monkeypatch, act) for act in ("a", "b")]
    for number, order in enumerate(list(merges(*lengths))[::40]):
        table = tables(monkeypatch)
        play(order, *(Run(partial(ACTS[act], table)) for act in ("a", "b")))
        expected = table.end()
        monkeypatch.setattr("pneumo.tracking.client.connect", lambda *_: tracker.client)
        monkeypatch.setattr(Runs, "tags", lambda *_: {})  # their MLflow runs are names only
        real = Table(f"lungs-{number}", table.folder, made.__getitem__)
        real.promote("first")
        real.promote("second")
        play(order, *(Run(partial(ACTS[act], real)) for act in ("a", "b")))
        assert real.end() == expected
