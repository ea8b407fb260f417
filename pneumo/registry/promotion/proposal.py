"""What a run puts up for promotion: its best candidate, as a version of the registered model."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pneumo.errors import PromotionError
from pneumo.records.base import ENSEMBLE
from pneumo.records.data import DatasetVersion, ShiftAudit
from pneumo.records.model import Evaluation, External
from pneumo.registry import card
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.predictions import Given
from pneumo.tracking import Tracker

NOISE = 0.002  # of a selection score, between two seeds of the same settings


@dataclass(frozen=True)
class Proposal:
    """A candidate, the data set that it was trained and tested on, and what else the run has measured.

    `given` are the embeddings of the run, for a champion that takes these.
    """

    evaluation: Evaluation
    data: DatasetVersion
    parent_run: str
    external: Sequence[External] = ()
    audits: Sequence[ShiftAudit] = ()
    given: Given = field(default_factory=dict)


def choose(evaluations: list[Evaluation], embeddings_may_win: bool = False) -> Evaluation:
    """The candidate with the best selection score, which comes from validation images.

    Scores within `NOISE` of each other choose nothing. Then the ensemble is taken if it is among them: the mean of
    several networks holds better under change than one of them (Ovadia et al. 2019).

    Of a candidate on embeddings it is not known what simulated change does to it, so it has no such score and is not
    chosen. With `embeddings_may_win` the best of the others meets it on what was measured of both: validation AUC.
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
    """Candidates by selection score, the best first; then those without one, by validation AUC."""

    def order(item: Evaluation) -> tuple[bool, float, str]:
        score = item.selection_score
        return score is not None, item.validation_auc if score is None else score, item.name

    return sorted(evaluations, key=order, reverse=True)


def register(tracker: Tracker, name: str, proposal: Proposal, undo: ExitStack) -> str:
    """The number of the candidate's version: a new one, or the one of the same evaluation that an earlier run left."""
    best, run = proposal.evaluation, proposal.parent_run
    found = [item for item in tracker.registry.versions(name) if item.tags.get(version_evidence.KEY) == best.key]
    if found:
        version_evidence.take_up(tracker, found[-1], run)
        return found[-1].version
    version_evidence.keep(tracker, best, proposal.data)
    tags = version_evidence.version_tags(best, proposal.data, run)
    number = tracker.registry.register(best.model_uri, name, card.short(best, proposal.data), tags)
    undo.callback(version_evidence.mark_undone, tracker, name, number, run)
    return number
