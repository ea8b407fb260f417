"""What a promotion writes into the history: its look at the test images before it compares, and its decision."""

from functools import partial
from pathlib import Path

from pneumo.records.decision import Decision, DecisionCount
from pneumo.registry import history, test_set_use
from pneumo.registry.history import Action, By, Entry, RegistryState
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.comparison import test_rows
from pneumo.registry.promotion.proposal import Proposal
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.system import REQUESTER


def announce_comparison(
    tracker: Tracker, settings: Settings, name: str, proposal: Proposal, version: str, standing: RegistryState
) -> DecisionCount:
    """Announce a comparison with the champion, then count those on the same test images, so that none is overlooked.

    Args:
        tracker: where the history is.
        settings: policy and names.
        name: of the registered model.
        proposal: whose test images are looked at.
        version: the challenger.
        standing: how the model stands; its champion is compared with.
    """
    best, champion = proposal.evaluation, standing.champion
    images = list(test_rows(best)["sha256"])
    count = partial(
        test_set_use.count_decision, images=images, evaluation=best.key, champion=champion, policy=settings.promotion
    )
    found = count(standing.rows)
    before = test_set_use.looks(standing.rows, found.sketch).get((best.key, champion))
    if not found.most or (before and test_set_use.compared(before)):
        return found
    reason = f"compares version {version} with version {champion} on {len(images)} test images"
    facts = (version, best.name, champion, reason, _evidence(proposal))
    announced = history.new_entry(standing.number, _by(tracker, settings.home, proposal), "look", *facts)
    history.append(tracker, name, announced.model_copy(update={"evaluation": best.key, "look": found}))
    return count(history.registry_state(tracker, name, settings.registry).rows)


def decided(tracker: Tracker, home: Path, proposal: Proposal, decision: Decision, number: int) -> Entry:
    """The entry of a decision."""
    action: Action = "promotion" if decision.promoted else "rejection"
    facts = (decision.version, decision.name, decision.champion_before, decision.reason, _evidence(proposal))
    entry = history.new_entry(number, _by(tracker, home, proposal), action, *facts)
    more = {"evaluation": proposal.evaluation.key, "look": decision.look}
    return entry.model_copy(update={**more, "remedy": history.cut(" ".join(decision.remedies))})


def _evidence(proposal: Proposal) -> str:
    return f"runs:/{proposal.parent_run}/{version_evidence.DECISION}"


def _by(tracker: Tracker, home: Path, proposal: Proposal) -> By:
    return history.by(home, tracker.runs.tags(proposal.parent_run).get(REQUESTER))
