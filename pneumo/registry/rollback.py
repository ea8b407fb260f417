"""Undo a promotion: give the champion's alias back to a version that had it before."""

from contextlib import ExitStack
from pathlib import Path

from pneumo.errors import PromotionError
from pneumo.registry import history, records, switch
from pneumo.registry.query import check_example
from pneumo.settings import Settings
from pneumo.stages import Decision, PolicyRow
from pneumo.tracking import ModelVersion, Tracker


def rollback(
    settings: Settings, home: Path, to: str | int | None = None, reason: str = "", synthetic: bool = False
) -> Decision:
    """Make an earlier champion the champion again; the one that goes becomes `previous`, so this can be undone too.

    Args:
        settings: names and MLflow's address.
        home: state folder, for the lock.
        to: version; empty: the champion before this one.
        reason: kept in the history.
        synthetic: of the model of the drawn images.

    Raises:
        PromotionError: there is nothing to go back to, or the version was never champion or was changed.
        TrackingError: the version does not load, or MLflow does not answer.
    """
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment, unverified=settings.registry.unverified)
    name, names = settings.model_name(synthetic), settings.registry
    with switch.exclusive(home, name), ExitStack() as undo:
        standing = switch.standing(tracker, name, names, home)
        target = _target(tracker, name, standing, None if to is None else str(to))
        records.check_files(tracker, target)
        check_example(tracker, name, target.version)
        said = reason or f"went back from version {standing.champion} to version {target.version}"
        run_id = tracker.start_run("rollback", tags={"stage": "rollback", "synthetic": str(synthetic).lower()})
        undo.callback(tracker.finish, run_id, "FAILED", "the rollback was undone")
        decision = _decision(target, run_id, standing.champion, said)
        tracker.log_text(run_id, decision.model_dump_json(indent=1), "promotion/decision.json")
        evidence = f"runs:/{run_id}/promotion/decision.json"
        entry = history.new_entry(
            standing.number, home, "rollback", target.version, decision.name, standing.champion, said, evidence
        )
        switch.claim(tracker, name, entry, names, undo)
        tracker.finish(run_id)
        switch.require_alone(tracker, name, entry, names)
        if standing.champion:
            switch.move(tracker, name, names.previous, standing.previous, standing.champion, undo)
        switch.move(tracker, name, names.champion, standing.champion, target.version, undo)
        undo.pop_all()
    return decision


def _target(tracker: Tracker, name: str, standing: switch.Standing, to: str | None) -> ModelVersion:
    moves = [row for row in history.judged(history.read(tracker, name), standing.champion) if row.took_effect]
    champions = [row.version for row in moves if row.version != standing.champion]
    wanted = to or (champions[-1] if champions else None)
    if wanted is None:
        raise PromotionError(f"Expected an earlier champion of {name} to go back to, but there was none: promote one.")
    if wanted == standing.champion:
        raise PromotionError(f"{name} version {wanted} is the champion already: give another version.")
    found = tracker.version(name, wanted)
    if wanted not in champions or found is None:
        known = ", ".join(dict.fromkeys(champions)) or "none"
        raise PromotionError(
            f"Expected a version of {name} that was champion before ({known}), got {wanted}: "
            "only those passed the gates."
        )
    return found


def _decision(target: ModelVersion, run_id: str, champion: str | None, reason: str) -> Decision:
    rows = (
        PolicyRow(name="files", limit="as registered", value=target.tags[records.FILES][:12], passed=True),
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
