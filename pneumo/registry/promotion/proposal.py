"""What a run proposes for promotion: its best candidate, as a version of the registered model."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pneumo.errors import PromotionError
from pneumo.records.base import ENSEMBLE
from pneumo.records.data import DatasetVersion, ShiftAudit
from pneumo.records.model import Evaluation, External
from pneumo.registry import model_card
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.predictions import Given
from pneumo.tracking import Tracker

NOISE = 0.002  # difference of selection scores between two seeds with the same settings


@dataclass(frozen=True)
class Proposal:
    """A candidate, its data set, and what else the run has measured.

    `given` are the run's embeddings, for a champion that takes embeddings.
    """

    evaluation: Evaluation
    data: DatasetVersion
    parent_run: str
    external: Sequence[External] = ()
    audits: Sequence[ShiftAudit] = ()
    given: Given = field(default_factory=dict)


def choose(evaluations: list[Evaluation], embeddings_may_win: bool = False) -> Evaluation:
    """The candidate with the best selection score, which comes from validation images.

    Scores within `NOISE` of the best count as equal. Then the ensemble is taken if it is among them, because the mean
    of several networks is more robust to shift than one network (Ovadia et al. 2019).

    A candidate on embeddings has no selection score, since no shift can be simulated, and is not chosen. With
    `embeddings_may_win` it is compared with the best of the others by validation AUC, which both have.
    """
    if not evaluations:
        raise PromotionError("Expected at least one evaluated candidate, got none: train one first.")
    ranked = rank(evaluations)
    known = [item for item in ranked if item.selection_score is not None]
    level = [item for item in known if (item.selection_score or 0) >= (known[0].selection_score or 0) - NOISE]
    first = [item for item in level if item.name == ENSEMBLE] or known[:1]
    if known and not embeddings_may_win:
        return first[0]
    return max([*first, *ranked[len(known) :]], key=lambda item: (item.validation_auc, item in known))


def rank(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Candidates by selection score, the best first, then those without one by validation AUC."""

    def order(item: Evaluation) -> tuple[bool, float, str]:
        score = item.selection_score
        return score is not None, item.validation_auc if score is None else score, item.name

    return sorted(evaluations, key=order, reverse=True)


def register(tracker: Tracker, name: str, proposal: Proposal, undo: ExitStack) -> str:
    """Register the candidate and return its number; if an earlier run left a version of this evaluation, that one's."""
    best, run = proposal.evaluation, proposal.parent_run
    found = [item for item in tracker.registry.versions(name) if item.tags.get(version_evidence.KEY) == best.key]
    if found:
        version_evidence.take_up(tracker, found[-1], run)
        return found[-1].version
    version_evidence.keep(tracker, best, proposal.data)
    tags = version_evidence.version_tags(best, proposal.data, run)
    number = tracker.registry.register(best.model_uri, name, model_card.short(best, proposal.data), tags)
    undo.callback(version_evidence.mark_undone, tracker, name, number, run)
    return number
