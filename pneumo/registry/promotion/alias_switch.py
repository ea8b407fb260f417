"""Moving the champion's alias: one at a time, announced before, looked at before every move, put back on an error."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import filelock

from pneumo.errors import PromotionError
from pneumo.registry import history
from pneumo.registry.history import Entry, HistoryRow, RegistryState
from pneumo.sections import Registry
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.connection import longest_call

LOCK_SECONDS = 900  # how long a promotion waits for another one in the same state folder
CLOCKS = 60  # seconds by which the clocks of two machines may differ


@contextmanager
def exclusive(home: Path, registered: str) -> Iterator[filelock.BaseFileLock]:
    """Hold the promotion lock of a registered model in this state folder; the system frees it if the process dies.

    Raises:
        PromotionError: another one holds it for too long.
    """
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"promote-{registered}.lock", timeout=LOCK_SECONDS)
    acquire(lock)
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def still(settings: Settings, registered: str) -> Iterator[None]:
    """Hold the lock, with no move announced elsewhere that may still happen: for whoever takes versions away.

    Raises:
        PromotionError: another one holds it for too long, or has announced a move.
    """
    with exclusive(settings.home, registered):
        now = history.registry_state(Tracker.of(settings), registered, settings.registry)
        _refuse_pending(now.rows, history.place(settings.home))
        yield


def acquire(lock: filelock.BaseFileLock) -> None:
    """Take the lock, also after it was let go to wait for a person.

    Raises:
        PromotionError: another promotion holds it for too long.
    """
    try:
        lock.acquire()
    except filelock.Timeout:
        raise PromotionError(
            f"Expected no other promotion, but one has held {lock.lock_file} for {LOCK_SECONDS} s: let it finish, "
            "then run again."
        ) from None


def claim_seconds() -> float:
    """How long an announced move may still happen: a claim outlives a call that began late in it, with its retries."""
    return 2 * longest_call() + CLOCKS


def commit(
    tracker: Tracker,
    registered: str,
    entry: Entry,
    now: RegistryState,
    moves: Sequence[tuple[str, str]],
    names: Registry,
    undo: ExitStack,
) -> None:
    """Announce a move of the champion in the history, move the aliases, the champion's last, and say that it is done.

    MLflow has no compare-and-set. Everyone writes first and looks then, before every move: of two at once at least one
    sees the other and withdraws, so two can never both move the alias from the same champion.

    Args:
        tracker: where.
        registered: name of the model.
        entry: the announcement; its champion is the one that has to be in place.
        now: how the model stands.
        moves: alias and version, in order.
        names: of the aliases.
        undo: takes what puts everything back.

    Raises:
        PromotionError: somebody else is moving the alias, or has moved it.
    """
    _refuse_pending(now.rows, entry.place)
    announce(tracker, registered, entry, undo)
    known = {entry.id, *(row.id for row in now.rows)}
    for alias, version in moves:
        before = _require_claim(tracker, registered, entry, names, known).get(alias)
        move(tracker, registered, alias, before, version, undo)
    history.mark_done(tracker, registered, entry)


def announce(tracker: Tracker, registered: str, entry: Entry, undo: ExitStack) -> None:
    """Write an entry that is withdrawn if what follows fails: when all else is undone, so that this frees the way."""
    withdrawn = entry.model_copy(update={"action": "withdrawal", "number": entry.number + 1, "evidence": ""})
    undo.callback(history.append, tracker, registered, withdrawn)
    history.append(tracker, registered, entry)


def move(
    tracker: Tracker, registered: str, alias: str, before: str | None, version: str | None, undo: ExitStack
) -> None:
    """Move an alias, or remove it; undone by moving it back, also when it is not known whether the call arrived."""
    if before != version:
        undo.callback(_put_back, tracker, registered, alias, version, before)
        _point(tracker, registered, alias, version)


def _put_back(tracker: Tracker, registered: str, alias: str, mine: str | None, before: str | None) -> None:
    """An alias as it was, if it still is as this run had set it."""
    if tracker.registry.alias(registered, alias) == mine:
        _point(tracker, registered, alias, before)


def _point(tracker: Tracker, registered: str, alias: str, version: str | None) -> None:
    if version is None:
        tracker.registry.delete_alias(registered, alias)
    else:
        tracker.registry.set_alias(registered, alias, version)


def _require_claim(tracker: Tracker, registered: str, entry: Entry, names: Registry, known: set[str]) -> dict[str, str]:
    """Look whether the announced move is the only one, from the same champion, and not too old; all aliases as seen.

    `known` are the ids of all entries that were seen before it was announced: any other move is a rival.
    """
    found = tracker.registry.registered(registered)
    others = [item for item in history.entries(found.tags) if item.id not in known]
    withdrawn = {item.id for item in others if item.action == "withdrawal"}
    rivals = [item for item in others if item.action in history.MOVES and item.id not in withdrawn]
    champion, age = found.aliases.get(names.champion), _age(entry)
    if rivals or champion != entry.champion:
        raise PromotionError(
            f"Expected version {entry.champion or 'none'} of {registered} to be champion until the switch, but "
            f"{_rival(rivals, champion)} at the same time: nothing was changed, run again to compare with the winner."
        )
    if age > longest_call():
        raise PromotionError(
            f"Expected to move the champion of {registered} within {longest_call():.0f} s of announcing it, but "
            f"{age:.0f} s have passed: nothing was changed, run again."
        )
    return found.aliases


def _rival(rivals: list[Entry], champion: str | None) -> str:
    if rivals:
        return f"{rivals[0].who} announced version {rivals[0].version}"
    return f"version {champion or 'none'} took its place"


def _refuse_pending(rows: Sequence[HistoryRow], place: str) -> None:
    """Leave a move from elsewhere alone that may still happen; one from this state folder died with its process."""
    for row in rows:
        done = row.took_effect or row.withdrawn or row.action not in history.MOVES
        if not done and row.place != place and _age(row) < claim_seconds():
            raise PromotionError(
                f"Expected no other promotion, but {row.who} announced version {row.version} {_age(row):.0f} s ago and "
                f"it has not happened yet: run again in {claim_seconds() - _age(row):.0f} s."
            )


def _age(entry: Entry) -> float:
    """Seconds since an entry was written."""
    return (datetime.now(UTC) - entry.when).total_seconds()
