"""Undo a promotion: move the champion's alias back to a version that had it before."""

from contextlib import ExitStack
from pathlib import Path

from pneumo.errors import PromotionError
from pneumo.records.decision import Decision, PolicyRow
from pneumo.registry import barred, history
from pneumo.registry.history import RegistryState
from pneumo.registry.promotion import alias_switch, promotion_lock, version_evidence
from pneumo.registry.promotion.load_check import check_example
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.system import REQUESTER


def rollback(
    settings: Settings,
    home: Path,
    to: str | int | None = None,
    reason: str = "",
    synthetic: bool = False,
    requester: str | None = None,
) -> Decision:
    """Make an earlier champion the champion again; the present one becomes `previous` and is barred.

    Args:
        settings: names and MLflow's address.
        home: state folder, for the lock.
        to: number of the version; empty: the newest earlier champion that is not barred.
        reason: for the history.
        synthetic: whether the model of the drawn images is meant.
        requester: who asked for it, for the history; empty: the user of this process.

    Raises:
        PromotionError: there is no earlier champion, or the version was never champion, is barred or was changed.
        TrackingError: the version does not load, or MLflow does not answer.
    """
    tracker = Tracker.of(settings)
    name, names = settings.model_name(synthetic), settings.registry
    with promotion_lock.exclusive(home, name), ExitStack() as undo:
        now = history.registry_state(tracker, name, names)
        target = _target(tracker, name, now, None if to is None else str(to))
        version_evidence.check_files(tracker, target)
        check_example(tracker, name, target.version)
        said = reason or f"went back from version {now.champion} to version {target.version}"
        by = history.by(home, requester)
        tags = {"stage": "rollback", "synthetic": str(synthetic).lower(), REQUESTER: by.who}
        run_id = tracker.runs.start("rollback", tags=tags)
        undo.callback(tracker.runs.finish, run_id, "FAILED", "the rollback was undone")
        decision = _decision(target, run_id, now.champion, said)
        tracker.log.text(run_id, decision.model_dump_json(indent=1), version_evidence.DECISION)
        evidence = f"runs:/{run_id}/{version_evidence.DECISION}"
        entry = history.new_entry(
            now.number, by, "rollback", target.version, decision.name, now.champion, said, evidence
        ).model_copy(update={"content": _bar(tracker, target, now.champion, said, undo)})
        tracker.runs.finish(run_id)
        moves = [(names.previous, now.champion)] if now.champion else []
        alias_switch.commit(tracker, name, entry, now, [*moves, (names.champion, target.version)], names, undo)
        undo.pop_all()
    return decision


def _target(tracker: Tracker, name: str, now: RegistryState, to: str | None) -> ModelVersion:
    champions = [row.version for row in now.rows if row.took_effect and row.version != now.champion]
    free = [version for version in champions if not _barred(tracker, name, now, version)]
    wanted = to or (free[-1] if free else None)
    if wanted is None:
        raise PromotionError(f"Expected an earlier champion of {name} to go back to, but there was none: promote one.")
    if wanted == now.champion:
        raise PromotionError(f"{name} version {wanted} is the champion already: give another version.")
    found = tracker.registry.version(name, wanted)
    if wanted not in champions or found is None:
        known = ", ".join(dict.fromkeys(champions))
        advice = f"give one of {known}, since only those passed the gates" if known else "there is none yet"
        raise PromotionError(f"Expected a version of {name} that was champion before, got {wanted}: {advice}.")
    if wanted not in free:
        raise PromotionError(
            f"Expected a version of {name} that is not barred, but {wanted} was rolled back: "
            f"`pneumo lift {wanted}` first, if it shall serve again."
        )
    return found


def _barred(tracker: Tracker, name: str, now: RegistryState, version: str) -> bool:
    found = tracker.registry.version(name, version)
    return barred.find(now.rows, version, version_evidence.content(found.tags) if found else ()) is not None


def _bar(tracker: Tracker, target: ModelVersion, version: str | None, reason: str, undo: ExitStack) -> tuple[str, ...]:
    """Note on the replaced version that it is barred; returns the digests that it alone has, for the history."""
    gone = tracker.registry.version(target.name, version) if version else None
    if gone is None:
        return ()
    undo.callback(tracker.registry.set_version_tags, gone.name, gone.version, {version_evidence.BARRED: ""})
    tracker.registry.set_version_tags(gone.name, gone.version, {version_evidence.BARRED: f"rolled back: {reason}"})
    # The target may have the same weights with another operating point: those are not barred.
    return tuple(
        item for item in version_evidence.content(gone.tags) if item not in version_evidence.content(target.tags)
    )


def _decision(target: ModelVersion, run_id: str, champion: str | None, reason: str) -> Decision:
    rows = (
        PolicyRow(name="files", limit="as registered", value=target.tags[version_evidence.FILES][:12], passed=True),
        PolicyRow(name="input example in a fresh process", limit="a probability", value="answered", passed=True),
    )
    return Decision(
        promoted=True,
        reason=reason,
        registered_model=target.name,
        version=target.version,
        name=target.tags.get("candidate", ""),
        run_id=run_id,
        champion_before=champion,
        rows=rows,
    )
