"""What a rollback took away is barred: no run makes it champion again until somebody lifts that.

The history says what is barred, by version and by content, so that the same weights under another number are, too.
"""

from collections.abc import Sequence
from pathlib import Path

from pneumo.errors import PromotionError
from pneumo.records.decision import PolicyRow
from pneumo.registry import history
from pneumo.registry.history import Entry, HistoryRow
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.severity import BARRED
from pneumo.settings import Settings
from pneumo.tracking import Tracker


def find(rows: Sequence[HistoryRow], version: str, content: Sequence[str]) -> HistoryRow | None:
    """The rollback that took away a version or another one of the same content; None if none did, or it was lifted.

    One that was announced counts unless it was withdrawn: where the alias is, or was moved to since, lifts nothing.
    """
    found = None
    for row in rows:
        meant = row.version if row.action == "lift" else row.champion
        if meant != version and not set(row.content) & set(content):
            continue
        if row.action == "lift":
            found = None
        elif row.action == "rollback" and not row.withdrawn:
            found = row
    return found


def policy_row(bar: HistoryRow) -> PolicyRow:
    """The gate's row; it never passes."""
    value = f"up: version {bar.champion}, which has the same weights, was rolled back by {bar.who} ({bar.reason})"
    return PolicyRow(
        name=BARRED,
        limit="none, or a lifted one,",
        value=value,
        passed=False,
        remedy=f"`pneumo lift {bar.champion}` lets it be promoted again.",
    )


def lift(settings: Settings, home: Path, version: str, reason: str = "", synthetic: bool = False) -> Entry:
    """Let a version, and others of the same weights, be promoted again; returns the entry in the history.

    Args:
        settings: names and MLflow's address.
        home: state folder, which the history names.
        version: number.
        reason: kept in the history.
        synthetic: of the model of the drawn images.

    Raises:
        PromotionError: it is not barred.
        TrackingError: MLflow does not answer.
    """
    tracker = Tracker.of(settings)
    name = settings.model_name(synthetic)
    now, found = history.registry_state(tracker, name, settings.registry), tracker.registry.version(name, version)
    content = version_evidence.content(found.tags) if found else ()
    bar = find(now.rows, version, content)
    if bar is None:
        raise PromotionError(
            f"Expected a version of {name} that was rolled back, got {version}, which is not barred: "
            "see `pneumo champion --history`."
        )
    said = reason or f"may be promoted again after the rollback from version {bar.champion}"
    candidate = found.tags.get("candidate", "") if found else ""
    entry = history.new_entry(
        now.number, history.by(home), "lift", version, candidate, now.champion, said, bar.evidence
    )
    entry = entry.model_copy(update={"content": tuple({*content, *bar.content})})
    history.append(tracker, name, entry)
    for number in {version, bar.champion or version}:
        if tracker.registry.version(name, number):
            tracker.registry.set_version_tags(name, number, {version_evidence.BARRED: ""})
    return entry
