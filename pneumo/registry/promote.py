"""The stage `promote`: the best candidate by validation becomes champion if it passes every gate."""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from pneumo.errors import PromotionError
from pneumo.registry import card, gates, history, records, switch
from pneumo.registry.contest import Contest, contest, fairness_row
from pneumo.registry.query import query_row
from pneumo.settings import Settings
from pneumo.stages import DatasetVersion, Decision, Evaluation, External, PolicyRow, Record
from pneumo.tracking import Tracker


class Word(Record):
    """What a person said, with the name and the reason."""

    approved: bool
    said: str


Approve = Callable[[list[PolicyRow], Evaluation], Word]


@dataclass
class Course:
    """One promotion under way: what it is about, and what its steps have found so far."""

    tracker: Tracker
    settings: Settings
    home: Path
    evaluation: Evaluation
    data: DatasetVersion
    parent_run: str
    approve: Approve | None
    lock: filelock.BaseFileLock
    undo: ExitStack
    name: str
    standing: switch.Standing
    external: Sequence[External] = ()
    version: str = ""
    contest: Contest | None = None
    rows: list[PolicyRow] = field(default_factory=list)
    entry: history.Entry | None = None

    @property
    def passed(self) -> bool:
        """Whether every gate so far holds."""
        return all(row.passed for row in self.rows)

    @property
    def evidence(self) -> str:
        """Where the decision is kept."""
        return f"runs:/{self.parent_run}/promotion/decision.json"


def promote(
    evaluations: list[Evaluation],
    version: DatasetVersion,
    settings: Settings,
    home: Path,
    parent_run: str,
    approve: Approve | None = None,
    external: Sequence[External] = (),
) -> Decision:
    """Register the best candidate as challenger, and make it champion if every gate holds.

    The candidate is chosen by its selection score (validation), never by test figures. A challenger that is refused
    is a result, not an error. On an error or a cancellation everything is put back as it was.

    Args:
        evaluations: the candidates' figures; their models are logged (`model_uri`).
        version: the data set they were trained and tested on.
        settings: policy and names.
        home: state folder, for the lock.
        parent_run: MLflow run that keeps the decision.
        approve: asked for a person's word when promotion.approval is set and every other gate holds.
        external: the candidate on sets from elsewhere, for the model card; nothing is decided by them.

    Raises:
        PromotionError: no candidate, somebody else promoted at the same time, or nobody to ask.
        TrackingError: MLflow does not answer.
    """
    best = choose(evaluations)
    if settings.promotion.approval and approve is None:
        raise PromotionError(
            "Expected somebody to ask, because promotion.approval is true, but nobody can approve here: "
            "run the Prefect deployment, or set promotion.approval to false in mlflow.yaml."
        )
    name = settings.model_name(version.synthetic)
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    with switch.exclusive(home, name) as lock, ExitStack() as undo:
        standing = switch.standing(tracker, name, settings.registry, home)
        course = Course(
            tracker, settings, home, best, version, parent_run, approve, lock, undo, name, standing, external
        )  # fmt: skip
        decision = _already_champion(course) or _run(course)
        undo.pop_all()
    return decision


def choose(evaluations: list[Evaluation]) -> Evaluation:
    """The candidate with the best selection score, which comes from validation images."""
    if not evaluations:
        raise PromotionError("Expected at least one evaluated candidate, got none: train one first.")
    return max(evaluations, key=lambda item: (item.selection_score, item.name))


def register(course: Course) -> None:
    """Register the model, or go on with a version of the same evaluation that an earlier run left."""
    tracker, best = course.tracker, course.evaluation
    found = [item for item in tracker.versions(course.name) if item.tags.get(records.KEY) == best.key]
    if found:
        course.version = found[-1].version
        return
    records.keep(tracker, best, course.data)
    tags = records.version_tags(best, course.data, course.parent_run)
    course.version = tracker.register(best.model_uri, course.name, card.short(best, course.data), tags)
    course.undo.callback(tracker.delete_version, course.name, course.version)


def challenge(course: Course) -> None:
    """Point the challenger's alias at the version."""
    alias = course.settings.registry.challenger
    switch.move(course.tracker, course.name, alias, course.standing.challenger, course.version, course.undo)


def judge(course: Course) -> None:
    """Fill in the rows: figures, load-and-query, comparison with the champion."""
    policy = course.settings.promotion
    course.rows += gates.figure_rows(course.evaluation, policy)
    course.rows.append(query_row(course.tracker, course.name, course.version, course.evaluation, course.data))
    champion = course.standing.champion
    found = course.tracker.version(course.name, champion) if champion else None
    if found is None:
        return
    course.contest = contest(course.tracker, found, course.evaluation, course.data)
    course.rows.append(fairness_row(course.contest))
    if course.contest.comparison:
        images = course.contest.images
        course.rows.append(gates.comparison_row(course.contest.comparison, found.version, images, policy))


def ask_person(course: Course) -> None:
    """Add a row with a person's word, if one is wanted and every other gate holds; others may promote meanwhile."""
    if not (course.settings.promotion.approval and course.approve and course.passed):
        return
    course.lock.release()
    try:
        word = course.approve(list(course.rows), course.evaluation)
    finally:
        switch.acquire(course.lock)
    course.rows.append(PolicyRow(name="a person's word", limit="approved", value=word.said, passed=word.approved))


def record(course: Course) -> None:
    """Keep decision and model card with the runs, and the card as the version's description."""
    tracker, decision = course.tracker, decide(course)
    evidence = {
        "decision": decision.model_dump(mode="json"),
        "evaluation": course.evaluation.model_dump(mode="json"),
        "contest": course.contest.model_dump(mode="json") if course.contest else None,
        "external": [item.model_dump(mode="json") for item in course.external],
        "policy": course.settings.promotion.model_dump(mode="json"),
        "dataset": course.data.digest,
    }
    tracker.log_text(course.parent_run, json.dumps(evidence, indent=1), "promotion/decision.json")
    written = card.write(
        course.evaluation,
        course.data,
        decision,
        course.external,
        tracker.uri,
        tracker.run_url(course.evaluation.run_id),
    )
    tracker.log_text(course.parent_run, written.html, "promotion/card.html")
    tracker.log_text(course.evaluation.run_id, written.html, "card.html")
    tracker.describe_version(course.name, course.version, written.markdown)


def announce(course: Course) -> None:
    """Write the decision into the history; a promotion is announced before it happens."""
    entry = course.entry = history.new_entry(
        course.standing.number,
        course.home,
        "promotion" if course.passed else "rejection",
        course.version,
        course.evaluation.name,
        course.standing.champion,
        decide(course).reason,
        course.evidence,
    )
    if course.passed:
        switch.claim(course.tracker, course.name, entry, course.settings.registry, course.undo)
    else:
        history.append(course.tracker, course.name, entry)


def keep_previous(course: Course) -> None:
    """Look once more whether nobody else is at it, and point `previous` at the champion that is about to go."""
    names, before = course.settings.registry, course.standing
    if course.passed and course.entry:
        switch.require_alone(course.tracker, course.name, course.entry, names)
    if course.passed and before.champion:
        switch.move(course.tracker, course.name, names.previous, before.previous, before.champion, course.undo)


def crown(course: Course) -> None:
    """Move the champion's alias: one call, and the last one."""
    alias = course.settings.registry.champion
    if course.passed:
        switch.move(course.tracker, course.name, alias, course.standing.champion, course.version, course.undo)


STEPS: tuple[Callable[[Course], None], ...] = (
    register,
    challenge,
    judge,
    ask_person,
    record,
    announce,
    keep_previous,
    crown,
)


def decide(course: Course) -> Decision:
    """The decision that the rows lead to."""
    return Decision(
        promoted=course.passed,
        reason=_reason(course),
        registered_model=course.name,
        version=course.version,
        name=course.evaluation.name,
        run_id=course.evaluation.run_id,
        champion_before=course.standing.champion,
        rows=tuple(course.rows),
    )


def _run(course: Course) -> Decision:
    for step in STEPS:
        step(course)
    return decide(course)


def _already_champion(course: Course) -> Decision | None:
    champion = course.standing.champion
    found = course.tracker.version(course.name, champion) if champion else None
    if found is None or found.tags.get(records.KEY) != course.evaluation.key:
        return None
    course.version = found.version
    reason = f"{course.evaluation.name} is already the champion (version {found.version}): nothing has changed."
    return decide(course).model_copy(update={"promoted": False, "reason": reason})


def _reason(course: Course) -> str:
    """One sentence that names what decided."""
    best, before = course.evaluation, course.standing.champion
    failed = [f"{row.name} is {row.value} where {row.limit} is asked" for row in course.rows if not row.passed]
    if failed:
        stays = f"version {before} stays champion" if before else "there is no champion yet"
        return f"{best.name} was not promoted and {stays}: {'; '.join(failed)}."
    auc = f"test ROC AUC {best.test_auc.value:.4f} ({best.test_auc.low:.4f} to {best.test_auc.high:.4f})"
    place = f"replaces version {before}" if before else "is the first champion"
    return f"{best.name}, the best of validation, passed all {len(course.rows)} gates and {place}: {auc}."
