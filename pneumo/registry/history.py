"""Every look, promotion, rejection, rollback and lift, kept with the registered model and never changed.

Each entry is a tag of the registered model. The entry of a move (promotion, rollback) is written before the alias
moves, and a second tag after it says that it did. If a process dies in between, there is neither that tag nor a
withdrawal. Only then is it inferred whether the alias moved: from the champion that later entries, or the alias today,
name.
"""

import socket
import uuid
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from pneumo.errors import PromotionError
from pneumo.records.base import Record
from pneumo.records.decision import DecisionCount
from pneumo.settings import Settings
from pneumo.settings.promotion import Registry
from pneumo.tracking import Tracker
from pneumo.tracking.models.registry import HISTORY
from pneumo.tracking.system import user

DONE = "pneumo.moved."  # prefix before the id of an entry: the alias has moved as it announced
LONGEST_REASON = 1500  # characters; a tag of a registered model holds 5,000
MOVES = ("promotion", "rollback")
Action = Literal["look", "promotion", "rollback", "rejection", "withdrawal", "calibration", "lift"]


class Entry(Record):
    """What happened; `champion` is the version that had the alias at that moment, `when` is UTC.

    A withdrawal has the id of the announced entry that it takes back. A look is written before a challenger is compared
    with the champion; if the promotion dies before its decision, only the look is left. A rollback has the `content` of
    the version that was replaced, by which it is recognised under another number; a lift has that of the version that
    may be promoted again. A decision has the key of its `evaluation`, the `remedy` for gates that did not hold, and the
    number of its `look` at the test images; entries from before looks were counted have none.
    """

    number: int
    id: str
    when: datetime
    who: str
    place: str
    action: Action
    version: str
    name: str
    champion: str | None
    reason: str
    evidence: str
    evaluation: str = ""
    remedy: str = ""
    look: DecisionCount | None = None
    content: tuple[str, ...] = ()


class HistoryRow(Entry):
    """An entry, whether it moved the champion's alias, and whether it was withdrawn."""

    took_effect: bool
    withdrawn: bool = False


class RegistryState(Record):
    """A registered model at one moment: the champion, and all that happened up to then."""

    champion: str | None
    rows: tuple[HistoryRow, ...]

    @property
    def number(self) -> int:
        """Number of the next entry."""
        return max((row.number for row in self.rows), default=0) + 1

    def same(self, other: "RegistryState") -> bool:
        """Whether the champion did not change in between, not even to another version and back."""
        one, two = ([row.id for row in item.rows if row.took_effect] for item in (self, other))
        return self.champion == other.champion and one == two


def registry_state(tracker: Tracker, name: str, names: Registry) -> RegistryState:
    """The state of a registered model now."""
    found = tracker.registry.registered(name)
    champion = found.aliases.get(names.champion)
    moved = {key.removeprefix(DONE) for key in found.tags if key.startswith(DONE)}
    return RegistryState(champion=champion, rows=tuple(judged(entries(found.tags), champion, moved)))


def history(settings: Settings, synthetic: bool = False) -> list[HistoryRow]:
    """All entries of a registered model, oldest first.

    Raises:
        TrackingError: MLflow does not answer.
    """
    tracker = Tracker.of(settings)
    return list(registry_state(tracker, settings.model_name(synthetic), settings.registry).rows)


def read(tracker: Tracker, name: str) -> list[Entry]:
    """The entries as written, oldest first."""
    return entries(tracker.registry.registered(name).tags)


def entries(tags: Mapping[str, str]) -> list[Entry]:
    """The entries among a registered model's tags, oldest first; PromotionError where one is of no known kind."""
    found = [_entry(key, value) for key, value in tags.items() if key.startswith(HISTORY)]
    return sorted(found, key=lambda entry: (entry.number, entry.when, entry.id))


def _entry(key: str, value: str) -> Entry:
    try:
        return Entry.model_validate_json(value)
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, item['loc']))} {item['msg']}" for item in error.errors()[:2])
        raise PromotionError(
            f"Expected entries of the history that this pneumo can read, but that in the tag {key} it cannot ({wrong}):"
            " a newer one may have written it, install that."
        ) from None


def append(tracker: Tracker, registered: str, entry: Entry) -> None:
    """Write an entry under a key of its own, so that two writers at once do not overwrite each other."""
    key = f"{HISTORY}{entry.number:06d}.{entry.id}"
    tracker.registry.set_model_tag(registered, key, entry.model_dump_json())


def mark_done(tracker: Tracker, registered: str, entry: Entry) -> None:
    """Note that the champion's alias has moved as an entry announced, whatever happens to the alias later."""
    tracker.registry.set_model_tag(registered, f"{DONE}{entry.id}", datetime.now(UTC).isoformat())


class By(NamedTuple):
    """Who asked for what an entry records, and the machine and state folder that did it."""

    who: str
    place: str


def by(home: Path, requester: str | None = None) -> By:
    """Who asked; if no requester is given, the login of this process."""
    return By(requester or user(), place(home))


def new_entry(
    number: int, by: By, action: Action, version: str, name: str, champion: str | None, reason: str, evidence: str
) -> Entry:
    """An entry with the current time."""
    return Entry(
        number=number,
        id=uuid.uuid4().hex[:8],
        when=datetime.now(UTC),
        who=by.who,
        place=by.place,
        action=action,
        version=version,
        name=name,
        champion=champion,
        reason=cut(reason),
        evidence=evidence,
    )


def cut(text: str) -> str:
    """A reason cut to the length that a tag can hold."""
    return text[:LONGEST_REASON]


def place(home: Path) -> str:
    """Machine and state folder, within which the promotion lock works."""
    return f"{socket.gethostname()}:{home.absolute()}"


def judged(entries: list[Entry], champion: str | None, moved: Collection[str] = ()) -> list[HistoryRow]:
    """Entries with `took_effect`, given today's champion and the ids of moves that are known to be done.

    A withdrawn entry did not take effect, even if another entry did the same at that time.
    """
    withdrawn = {entry.id for entry in entries if entry.action == "withdrawal"}
    return [
        HistoryRow(
            **entry.model_dump(),
            withdrawn=entry.id in withdrawn,
            took_effect=entry.action in MOVES
            and entry.id not in withdrawn
            and (entry.id in moved or _seems_done(entry, entries[place + 1 :], champion)),
        )
        for place, entry in enumerate(entries)
    ]


def _seems_done(entry: Entry, later: list[Entry], champion: str | None) -> bool:
    for other in later:
        if other.champion == entry.version:
            return True
        if other.action in MOVES and other.number > entry.number:
            return False
    return champion == entry.version
