"""One promotion under way: what it is about, what its steps have found, and the decision that follows."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from pneumo.registry import history, switch
from pneumo.registry.answers import Given
from pneumo.registry.contest import Contest
from pneumo.registry.rules import ruled
from pneumo.settings import Settings
from pneumo.stages import DatasetVersion, Decision, Evaluation, External, Look, PolicyRow, Record, ShiftAudit
from pneumo.tracking import Tracker


class Word(Record):
    """What a person said, with the name and the reason."""

    approved: bool
    said: str


Approve = Callable[[list[PolicyRow], Evaluation], Word]


@dataclass
class Course:
    """What a promotion is about, and what its steps have found so far."""

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
    audits: Sequence[ShiftAudit] = ()
    given: Given = field(default_factory=dict)
    version: str = ""
    contest: Contest | None = None
    look: Look | None = None
    rows: list[PolicyRow] = field(default_factory=list)
    entry: history.Entry | None = None

    def add(self, *rows: PolicyRow) -> None:
        """Take in what a gate found, with the severity that it has in mlflow.yaml."""
        self.rows += [ruled(row, self.settings.promotion) for row in rows]

    @property
    def passed(self) -> bool:
        """Whether every gate so far holds but for those that only warn."""
        return all(row.outcome != "refused" for row in self.rows)

    @property
    def evidence(self) -> str:
        """Where the decision is kept."""
        return f"runs:/{self.parent_run}/promotion/decision.json"


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
        look=course.look,
    )


def _reason(course: Course) -> str:
    """One sentence that names what decided, and another one on what only warns."""
    best, before = course.evaluation, course.standing.champion
    refused, warned = (
        "; ".join(row.finding for row in course.rows if row.outcome == outcome) for outcome in ("refused", "warning")
    )
    warning = f" Warning: {warned}." if warned else ""
    if refused:
        stays = f"version {before} stays champion" if before else "there is no champion yet"
        return f"{best.name} was not promoted and {stays}: {refused}.{warning}"
    passed = sum(row.passed for row in course.rows)
    gates = (
        f"passed all {passed} gates"
        if not warned
        else f"passed {passed} of {len(course.rows)} gates, the rest only warns,"
    )
    place = f"replaces version {before}" if before else "is the first champion"
    return f"{best.name}, the best of validation, {gates} and {place}: test ROC AUC {best.test_auc:.4f}.{warning}"
