"""A version that was rolled back is barred: no run makes it champion again until somebody lifts the bar.

The history names it by number and by content, so that the same weights under another number are barred, too.
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
    """The rollback that bars a version, by number or by content; None if there is none, or the bar was lifted.

    An announced rollback bars unless it was withdrawn; where the alias is now makes no difference.
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
    """The gate's row of a barred version; it never passes."""
    value = f"in force: version {bar.champion}, which has the same weights, was rolled back by {bar.who} ({bar.reason})"
    return PolicyRow(
        name=BARRED,
        limit="no bar, or a lifted one,",
        value=value,
        passed=False,
        remedy=f"`pneumo lift {bar.champion}` lets it be promoted again.",
    )


def lift(settings: Settings, home: Path, version: str, reason: str = "", synthetic: bool = False) -> Entry:
    """Lift the bar on a version and on others with the same weights; returns the entry in the history.

    Args:
        settings: names and MLflow's address.
        home: state folder, which the history names.
        version: its number.
        reason: for the history.
        synthetic: whether the model of the drawn images is meant.

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
            f"see `pneumo champion --history{' --phantom' if synthetic else ''}`."
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
