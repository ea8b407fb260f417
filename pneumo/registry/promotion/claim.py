"""The claim on a promotion: an announced move, which keeps others off for a time and must happen within it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pneumo.errors import PromotionError
from pneumo.registry import history
from pneumo.registry.history import Entry, HistoryRow
from pneumo.settings.promotion import Registry
from pneumo.tracking import Tracker
from pneumo.tracking.connection import longest_call

CLOCKS = 60  # seconds by which the clocks of two machines may differ


def held_seconds() -> float:
    """Seconds for which a claim keeps others off: the move may begin within one call, and may last for another.

    A call is counted with its retries (`longest_call`); clocks may differ.
    """
    return 2 * longest_call() + CLOCKS


def require(tracker: Tracker, registered: str, entry: Entry, names: Registry, known: set[str]) -> dict[str, str]:
    """Check that the announced move is the only one, from the same champion and recent; returns all aliases.

    `known` are the ids of all entries that were there before the announcement: any other move is a rival.
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


def refuse_pending(rows: Sequence[HistoryRow], place: str) -> None:
    """Refuse while a move from elsewhere may still happen; one from this state folder ended with its process.

    One that is dated further ahead than claims last is of a wrong clock, and would keep others off until then.
    """
    for row in rows:
        done = row.took_effect or row.withdrawn or row.action not in history.MOVES
        if not done and row.place != place and abs(_age(row)) < held_seconds():
            raise PromotionError(
                f"Expected no other promotion, but {row.who} announced version {row.version} {_age(row):.0f} s ago and "
                f"it has not happened yet: run again in {held_seconds() - _age(row):.0f} s."
            )


def _rival(rivals: list[Entry], champion: str | None) -> str:
    if rivals:
        return f"{rivals[0].who} announced version {rivals[0].version}"
    return f"version {champion or 'none'} took its place"


def _age(entry: Entry) -> float:
    """Seconds since an entry was written."""
    return (datetime.now(UTC) - entry.when).total_seconds()
