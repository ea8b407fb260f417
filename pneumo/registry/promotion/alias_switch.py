"""Move the champion's alias: announced first, checked before every move, undone on an error."""

from collections.abc import Sequence
from contextlib import ExitStack

from pneumo.registry import history
from pneumo.registry.history import Entry, RegistryState
from pneumo.registry.promotion import claim
from pneumo.settings.promotion import Registry
from pneumo.tracking import Tracker


def commit(
    tracker: Tracker,
    registered: str,
    entry: Entry,
    now: RegistryState,
    moves: Sequence[tuple[str, str]],
    names: Registry,
    undo: ExitStack,
) -> None:
    """Announce a move in the history, move the aliases, the champion's last, and note that it is done.

    MLflow has no compare-and-set. So everyone first writes an announcement and then, before every move, reads the
    others': of two at once at least one sees the other and withdraws. Two can never both move the alias from the same
    champion.

    Args:
        tracker: where.
        registered: name of the model.
        entry: the announcement; it names the champion that has to be in place.
        now: state of the model, as it was judged.
        moves: aliases and their new versions, in order.
        names: names of the aliases.
        undo: collects the calls that undo everything.

    Raises:
        PromotionError: somebody else is moving the alias, or has moved it.
    """
    claim.refuse_pending(now.rows, entry.place)
    announce(tracker, registered, entry, undo)
    known = {entry.id, *(row.id for row in now.rows)}
    for alias, version in moves:
        before = claim.require(tracker, registered, entry, names, known).get(alias)
        move(tracker, registered, alias, before, version, undo)
    history.mark_done(tracker, registered, entry)


def announce(tracker: Tracker, registered: str, entry: Entry, undo: ExitStack) -> None:
    """Write an entry that is withdrawn if what follows fails; the withdrawal comes after all else is undone."""
    withdrawn = entry.model_copy(update={"action": "withdrawal", "number": entry.number + 1, "evidence": ""})
    undo.callback(history.append, tracker, registered, withdrawn)
    history.append(tracker, registered, entry)


def move(
    tracker: Tracker, registered: str, alias: str, before: str | None, version: str | None, undo: ExitStack
) -> None:
    """Move or remove an alias; `undo` moves it back, even if it is not known whether the call arrived."""
    if before != version:
        undo.callback(_put_back, tracker, registered, alias, version, before)
        _point(tracker, registered, alias, version)


def _put_back(tracker: Tracker, registered: str, alias: str, mine: str | None, before: str | None) -> None:
    """Put back an alias if it is still as this run set it."""
    if tracker.registry.alias(registered, alias) == mine:
        _point(tracker, registered, alias, before)


def _point(tracker: Tracker, registered: str, alias: str, version: str | None) -> None:
    if version is None:
        tracker.registry.delete_alias(registered, alias)
    else:
        tracker.registry.set_alias(registered, alias, version)
