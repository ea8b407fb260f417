"""Every promotion, rejection and rollback, kept with the registered model and never changed.

An entry is a tag of the registered model. An entry of a move (promotion, rollback) is written before the alias moves,
because the move is the last thing that happens; whether it came to pass is read off the champion that later entries,
or the alias today, name.
"""

import socket
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pneumo.settings import Settings
from pneumo.stages import Look, Record
from pneumo.tracking import Tracker
from pneumo.tracking.system import user

PREFIX = "pneumo.history."
LONGEST_REASON = 1500  # a tag of a registered model holds 5,000 characters
MOVES = ("promotion", "rollback")
Action = Literal["promotion", "rollback", "rejection", "withdrawal", "calibration"]


class Entry(Record):
    """What happened; `champion` is the version that had the alias when this was written, `when` is UTC.

    A withdrawal has the id of the move that was announced and taken back. A promotion that dies before its decision
    leaves no entry. A decision has the key of the `evaluation` that it was about, the `remedy` for what did not hold,
    and the `look` that it was at the test images; entries of before these were counted have none.
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
    look: Look | None = None


class HistoryRow(Entry):
    """An entry, and whether the champion's alias moved because of it."""

    took_effect: bool


def history(settings: Settings, synthetic: bool = False) -> list[HistoryRow]:
    """All entries of a registered model, oldest first.

    Raises:
        TrackingError: MLflow does not answer.
    """
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    name = settings.model_name(synthetic)
    return judged(read(tracker, name), tracker.alias(name, settings.registry.champion))


def read(tracker: Tracker, name: str) -> list[Entry]:
    """The entries as they were written, oldest first."""
    tags = tracker.model_tags(name)
    entries = [Entry.model_validate_json(value) for key, value in tags.items() if key.startswith(PREFIX)]
    return sorted(entries, key=lambda entry: (entry.number, entry.when, entry.id))


def append(tracker: Tracker, registered: str, entry: Entry) -> None:
    """Write an entry under a key of its own, so that two writers at once both stay."""
    key = f"{PREFIX}{entry.number:06d}.{entry.id}"
    tracker.set_model_tag(registered, key, entry.model_dump_json())


def new_entry(
    number: int, home: Path, action: Action, version: str, name: str, champion: str | None, reason: str, evidence: str
) -> Entry:
    """An entry by this user, now."""
    return Entry(
        number=number,
        id=uuid.uuid4().hex[:8],
        when=datetime.now(UTC),
        who=user(),
        place=place(home),
        action=action,
        version=version,
        name=name,
        champion=champion,
        reason=cut(reason),
        evidence=evidence,
    )


def cut(text: str) -> str:
    """What a tag can hold of a reason."""
    return text[:LONGEST_REASON]


def place(home: Path) -> str:
    """Machine and state folder: what the promotion lock covers."""
    return f"{socket.gethostname()}:{home.absolute()}"


def next_number(entries: list[Entry]) -> int:
    """The number after the last one."""
    return max((entry.number for entry in entries), default=0) + 1


def judged(entries: list[Entry], champion: str | None) -> list[HistoryRow]:
    """Entries with `took_effect`, given today's champion."""
    return [
        HistoryRow(**entry.model_dump(), took_effect=_took_effect(entry, entries[place + 1 :], champion))
        for place, entry in enumerate(entries)
    ]


def _took_effect(entry: Entry, later: list[Entry], champion: str | None) -> bool:
    if entry.action not in MOVES:
        return False
    for other in later:
        if other.champion == entry.version:
            return True
        if other.action in MOVES and other.number > entry.number:
            return False
    return champion == entry.version
