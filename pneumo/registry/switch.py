"""Moving the champion's alias: one at a time, announced before, compared before, and last."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import filelock

from pneumo.errors import PromotionError
from pneumo.registry import history
from pneumo.settings import Registry
from pneumo.stages import Record
from pneumo.tracking import Tracker

LOCK_SECONDS = 900  # how long a promotion waits for another one in the same state folder
CLAIM_SECONDS = 120  # an announced move from elsewhere that is younger may still happen


class Standing(Record):
    """Aliases and the number of the next history entry, as read at the start of a promotion or rollback."""

    champion: str | None
    challenger: str | None
    previous: str | None
    number: int


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


def standing(tracker: Tracker, registered: str, names: Registry, home: Path) -> Standing:
    """Read history, then aliases; the order matters to `claim`.

    Raises:
        PromotionError: a move announced on another machine may be under way.
    """
    entries = history.read(tracker, registered)
    champion = tracker.alias(registered, names.champion)
    _refuse_pending(history.judged(entries, champion), home)
    return Standing(
        champion=champion,
        challenger=tracker.alias(registered, names.challenger),
        previous=tracker.alias(registered, names.previous),
        number=history.next_number(entries),
    )


def claim(tracker: Tracker, registered: str, entry: history.Entry, names: Registry, undo: ExitStack) -> None:
    """Announce a move in the history and look whether somebody else announced one from the same standing.

    MLflow has no compare-and-set. Everyone writes first and looks then: of two at once at least one sees the other
    and withdraws, so two can never both move the alias from the same champion.

    Raises:
        PromotionError: somebody else is moving the alias, or has moved it.
    """
    withdrawn = entry.model_copy(update={"action": "withdrawal", "number": entry.number + 1, "evidence": ""})
    undo.callback(history.append, tracker, registered, withdrawn)
    history.append(tracker, registered, entry)
    require_alone(tracker, registered, entry, names)


def require_alone(tracker: Tracker, registered: str, entry: history.Entry, names: Registry) -> None:
    """Look again whether the announced move is the only one; a process that slept for long must not win after all.

    Raises:
        PromotionError: somebody else is moving the alias, or has moved it.
    """
    others = [item for item in history.read(tracker, registered) if item.id != entry.id]
    # A withdrawal is written when all else has been undone, so it frees the way.
    withdrawn = {item.id for item in others if item.action == "withdrawal"}
    rivals = [
        item
        for item in others
        if item.number >= entry.number and item.action in history.MOVES and item.id not in withdrawn
    ]
    now = tracker.alias(registered, names.champion)
    if rivals or now != entry.champion:
        raise PromotionError(
            f"Expected version {entry.champion or 'none'} of {registered} to be champion until the switch, but "
            f"{_rival(rivals, now)} at the same time: nothing was changed, run again to compare with the winner."
        )


def move(tracker: Tracker, registered: str, alias: str, before: str | None, version: str, undo: ExitStack) -> None:
    """Move an alias; undone by moving it back, also when it is not known whether the call arrived."""
    undo.callback(put_back, tracker, registered, alias, before)
    tracker.set_alias(registered, alias, version)


def put_back(tracker: Tracker, registered: str, alias: str, version: str | None) -> None:
    """An alias as it was; no version means that there was none."""
    if version is None:
        tracker.delete_alias(registered, alias)
    else:
        tracker.set_alias(registered, alias, version)


def _rival(rivals: list[history.Entry], champion: str | None) -> str:
    if rivals:
        return f"{rivals[0].who} announced version {rivals[0].version}"
    return f"version {champion or 'none'} took its place"


def _refuse_pending(rows: list[history.HistoryRow], home: Path) -> None:
    # One from this state folder died with its process, or we would not hold the lock.
    moves = [row for row in rows if row.action in history.MOVES]
    withdrawn = {row.id for row in rows if row.action == "withdrawal"}
    if not moves or moves[-1].took_effect or moves[-1].id in withdrawn or moves[-1].place == history.place(home):
        return
    age = (datetime.now(UTC) - moves[-1].when).total_seconds()
    if age < CLAIM_SECONDS:
        raise PromotionError(
            f"Expected no other promotion, but {moves[-1].who} announced version {moves[-1].version} "
            f"{age:.0f} s ago and it has not happened yet: run again in {CLAIM_SECONDS} s."
        )
