"""The gates' verdict on a challenger, and the decision that follows."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pneumo.evaluation.statistics.metrics import LEVEL
from pneumo.records.base import Record
from pneumo.records.decision import Decision, DecisionCount, PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry import model_card
from pneumo.registry.dossier import write as dossier
from pneumo.registry.promotion import gates, version_evidence
from pneumo.registry.promotion.comparison import ChampionComparison, compare_with_champion, fairness_row
from pneumo.registry.promotion.load_check import query_row
from pneumo.registry.promotion.proposal import Proposal
from pneumo.registry.promotion.severity import with_severity
from pneumo.settings.promotion import Promotion as Policy
from pneumo.tracking import ModelVersion, Tracker


class Judgement(Record):
    """Rows of the gates, the comparison with the champion, and the number of the look at the test images."""

    rows: tuple[PolicyRow, ...] = ()
    comparison: ChampionComparison | None = None
    look: DecisionCount | None = None

    @property
    def passed(self) -> bool:
        """Whether every gate holds, apart from those that only warn."""
        return all(row.outcome != "refused" for row in self.rows)

    def with_rows(self, policy: Policy, *rows: PolicyRow) -> "Judgement":
        """The judgement with more rows, each with its severity from mlflow.yaml."""
        return self.model_copy(update={"rows": (*self.rows, *(with_severity(row, policy) for row in rows))})


def judge(
    tracker: Tracker,
    challenger: ModelVersion,
    proposal: Proposal,
    champion: ModelVersion | None,
    look: DecisionCount,
    policy: Policy,
) -> Judgement:
    """Judge by figures, load-and-query, and comparison with the champion.

    Args:
        tracker: where the versions are.
        challenger: the proposed version.
        proposal: its figures and data set.
        champion: the version to be replaced.
        look: number of this look at the test images.
        policy: the limits.
    """
    evaluation = proposal.evaluation
    spends = look.significance or 1 - LEVEL
    # Each starts a process, which takes seconds on one core, so they start together.
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(query_row, tracker, challenger.name, challenger.version, evaluation, proposal.data)
        known = (evaluation, proposal.data, spends, proposal.given)
        met = compare_with_champion(tracker, champion, *known) if champion else None
        found = Judgement(comparison=met).with_rows(policy, *gates.figure_rows(evaluation, policy), asked.result())
    compared = met.comparison if met else None
    if met:
        found = found.with_rows(policy, fairness_row(met))
    if met and compared:
        found = found.with_rows(policy, gates.comparison_row(compared, met.champion, met.images, policy, look))
    spent = look if compared else look.model_copy(update={"comparison": 0, "most": 0, "significance": 0.0})
    return found.model_copy(update={"look": spent})


def decide(name: str, version: str, evaluation: Evaluation, before: str | None, judgement: Judgement) -> Decision:
    """The decision by the rows; `before` is the champion of the comparison."""
    return Decision(
        promoted=judgement.passed,
        reason=_reason(evaluation, before, judgement.rows),
        registered_model=name,
        version=version,
        name=evaluation.name,
        run_id=evaluation.run_id,
        champion_before=before,
        rows=judgement.rows,
        look=judgement.look,
    )


def record(tracker: Tracker, proposal: Proposal, decision: Decision, judgement: Judgement, policy: Policy) -> None:
    """Log decision, model card and dossier to the runs, and make the card the version's description."""
    best, met = proposal.evaluation, judgement.comparison
    evidence = {
        "decision": decision.model_dump(mode="json"),
        "evaluation": best.model_dump(mode="json"),
        "comparison": met.model_dump(mode="json") if met else None,
        "external": [item.model_dump(mode="json") for item in proposal.external],
        "shift_audit": [item.model_dump(mode="json") for item in proposal.audits],
        "policy": policy.model_dump(mode="json"),
        "dataset": proposal.data.digest,
    }
    tracker.log.text(proposal.parent_run, json.dumps(evidence, indent=1), version_evidence.DECISION)
    url = tracker.runs.url(best.run_id)
    written = model_card.write(best, proposal.data, decision, proposal.external, tracker.uri, url, proposal.audits)
    tracker.log.text(proposal.parent_run, written.html, "promotion/card.html")
    tracker.log.text(best.run_id, written.html, "card.html")
    dossier.of_decision(tracker, proposal, decision, policy)
    tracker.registry.describe_version(decision.registered_model, decision.version, written.markdown)


def _reason(best: Evaluation, before: str | None, rows: Sequence[PolicyRow]) -> str:
    """A sentence that names what decided, and another on what only warns."""
    refused, warned = (
        "; ".join(row.finding for row in rows if row.outcome == outcome) for outcome in ("refused", "warning")
    )
    warning = f" Warning: {warned}." if warned else ""
    if refused:
        stays = f"version {before} stays champion" if before else "there is no champion yet"
        return f"{best.name} was not promoted and {stays}: {refused}.{warning}"
    passed = sum(row.passed for row in rows)
    some = f"passed {passed} of {len(rows)} gates, the others only warn,"
    held = some if warned else f"passed all {passed} gates"
    place = f"replaces version {before}" if before else "is the first champion"
    return f"{best.name}, the best on validation images, {held} and {place}: test ROC AUC {best.test_auc:.4f}.{warning}"
