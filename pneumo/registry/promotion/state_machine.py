"""Promotion: propose, evaluate, ask, commit; the best candidate becomes champion if it passes every gate."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import filelock

from pneumo.errors import PromotionError
from pneumo.records.base import Record
from pneumo.records.data import DatasetVersion, ShiftAudit
from pneumo.records.decision import Decision, PolicyRow
from pneumo.records.model import Evaluation, External
from pneumo.registry import barred, history
from pneumo.registry.history import RegistryState
from pneumo.registry.promotion import alias_switch, entries, promotion_lock, shadow_row, version_evidence
from pneumo.registry.promotion.judgement import Judgement, decide, judge, record
from pneumo.registry.promotion.proposal import Proposal, choose, register
from pneumo.registry.promotion.severity import PERSON, require_known
from pneumo.settings import Settings
from pneumo.tracking import Tracker


class ApprovalAnswer(Record):
    """A person's answer, with name and reason."""

    approved: bool
    said: str


Approve = Callable[[list[PolicyRow], Evaluation], ApprovalAnswer]


def promote(
    evaluations: list[Evaluation],
    version: DatasetVersion,
    settings: Settings,
    home: Path,
    parent_run: str,
    approve: Approve | None = None,
    external: Sequence[External] = (),
    audits: Sequence[ShiftAudit] = (),
) -> Decision:
    """Register the best candidate as challenger, and make it champion if no gate refuses.

    The candidate is chosen by validation images (`choose`), never by test figures. A challenger that is refused is a
    result, not an error. On an error or a cancellation, every alias that is still as this run set it is put back; the
    version stays, with a note that its run was undone.

    Args:
        evaluations: the candidates' figures; their models are logged (`model_uri`).
        version: the data set of training and test.
        settings: policy and names.
        home: state folder, for the lock.
        parent_run: MLflow run that keeps the decision.
        approve: asks a person, if promotion.approval is set and every other gate holds.
        external: the candidate's figures on external sets, for the model card; they decide nothing.
        audits: shift audits of test and external images, for card and evidence.

    Raises:
        SettingsError: promotion.severity names a gate that does not exist.
        PromotionError: no candidate, another promotion at the same time, or nobody to ask.
        TrackingError: MLflow does not answer.
    """
    require_known(settings.promotion)
    best = choose(evaluations, settings.promotion.embeddings_may_win)
    given = {item.name: item.vectors for item in evaluations if item.vectors}
    if settings.promotion.approval and approve is None:
        raise PromotionError(
            "Expected somebody to ask, because promotion.approval is true, but nobody can approve here: "
            "run the Prefect deployment, or set promotion.approval to false in mlflow.yaml."
        )
    name = settings.model_name(version.synthetic)
    tracker = Tracker.of(settings)
    proposal = Proposal(best, version, parent_run, external, audits, given)
    with promotion_lock.exclusive(home, name) as lock, ExitStack() as undo:
        decision = Promotion(tracker, settings, home, name, proposal, approve, lock, undo).run()
        undo.pop_all()
    return decision


@dataclass
class Promotion:
    """A promotion in progress, and what it has found so far."""

    tracker: Tracker
    settings: Settings
    home: Path
    name: str
    proposal: Proposal
    approve: Approve | None
    lock: filelock.BaseFileLock
    undo: ExitStack
    version: str = ""
    standing: RegistryState = field(default_factory=lambda: RegistryState(champion=None, rows=()))
    judgement: Judgement = field(default_factory=Judgement)

    def run(self) -> Decision:
        """Evaluate and ask again until the champion has not changed meanwhile; then commit."""
        while True:
            self.standing = self._now()
            if self._is_champion():
                return self._unchanged()
            self.propose()
            self.evaluate()
            final = self.ask()
            decision = self.decide()
            now = self._now()
            if final or now.same(self.standing):
                self.commit(decision, now)
                self.record(decision)
                return decision

    def propose(self) -> None:
        """Register the candidate as a version, once."""
        self.version = self.version or register(self.tracker, self.name, self.proposal, self.undo)

    def evaluate(self) -> None:
        """Judge by the gates against the present champion; a barred version is not looked at."""
        challenger = self.tracker.registry.resolve(f"models:/{self.name}/{self.version}")
        champion = self.tracker.registry.version(self.name, self.standing.champion) if self.standing.champion else None
        policy = self.settings.promotion
        if bar := barred.find(self.standing.rows, challenger.version, version_evidence.content(challenger.tags)):
            self.judgement = Judgement().with_rows(policy, barred.policy_row(bar))
            return
        known = (self.tracker, self.settings, self.name, self.proposal, self.version, self.standing)
        announce = entries.announce_comparison(*known)
        self.judgement = judge(self.tracker, challenger, self.proposal, champion, announce, policy)
        shown = shadow_row.rows(self.home, self.settings, self.proposal.data, challenger, self.standing.champion)
        self.judgement = self.judgement.with_rows(policy, *shown)

    def ask(self) -> bool:
        """Ask a person, if that is set and no gate refuses; others may promote meanwhile. True if the answer is no."""
        policy = self.settings.promotion
        if not (policy.approval and self.approve and self.judgement.passed):
            return False
        self.lock.release()
        try:
            word = self.approve(list(self.judgement.rows), self.proposal.evaluation)
        finally:
            promotion_lock.acquire(self.lock)
        row = PolicyRow(name=PERSON, limit="approved", value=word.said, passed=word.approved)
        self.judgement = self.judgement.with_rows(policy, row)
        return not word.approved

    def decide(self) -> Decision:
        """The decision by the rows so far."""
        return decide(self.name, self.version, self.proposal.evaluation, self.standing.champion, self.judgement)

    def commit(self, decision: Decision, now: RegistryState) -> None:
        """Write the decision to the history and move the aliases accordingly, the champion's last."""
        names, champion = self.settings.registry, self.standing.champion
        moves = [(names.challenger, self.version)]
        entry = entries.decided(self.tracker, self.home, self.proposal, decision, now.number)
        if not decision.promoted:
            alias_switch.announce(self.tracker, self.name, entry, self.undo)
            self._refuse_serving(decision)
            self.undo.pop_all()  # the decision stands, whatever happens to the alias
            self.tracker.registry.set_alias(self.name, *moves[0])
            return
        moves += [(names.previous, champion)] if champion else []
        moves += [(names.champion, self.version)]
        alias_switch.commit(self.tracker, self.name, entry, now, moves, names, self.undo)

    def record(self, decision: Decision) -> None:
        """Log evidence and card of the decision; they are corrected if the move must be undone after all."""
        keep = partial(record, self.tracker, self.proposal, judgement=self.judgement, policy=self.settings.promotion)
        if decision.promoted:
            reason = f"{decision.name} was not promoted: its evidence could not be written, and the switch was undone."
            self.undo.callback(keep, decision.model_copy(update={"promoted": False, "reason": reason}))
        keep(decision)

    def _refuse_serving(self, decision: Decision) -> None:
        """Refuse to reject a version that another run of the same evaluation has made champion meanwhile."""
        if self._now().champion == self.version:
            why = "; ".join(row.finding for row in decision.rows if row.outcome == "refused")
            raise PromotionError(
                f"Expected version {self.version} of {self.name} not to serve, because {why}, but another run has made "
                "it champion meanwhile: it keeps serving, `pneumo rollback` replaces it."
            )

    def _now(self) -> RegistryState:
        return history.registry_state(self.tracker, self.name, self.settings.registry)

    def _is_champion(self) -> bool:
        champion = self.standing.champion
        found = self.tracker.registry.version(self.name, champion) if champion else None
        return found is not None and found.tags.get(version_evidence.KEY) == self.proposal.evaluation.key

    def _unchanged(self) -> Decision:
        self.version, self.judgement = self.standing.champion or "", Judgement()
        name = self.proposal.evaluation.name
        reason = f"{name} is already the champion (version {self.version}): nothing has changed."
        return self.decide().model_copy(update={"promoted": False, "reason": reason})
