"""Pages on a run's decision: the gates with their values, and the model card."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from pneumo.records.data import ShiftAudit
from pneumo.records.decision import Decision
from pneumo.registry import dossier
from pneumo.tracking import Tracker
from tasks.pages.other_places import in_words


def decision_table(decision: Decision, tracker: Tracker, audits: Sequence[ShiftAudit] = ()) -> None:
    """Table of the gates with limit, value and what to do, with the verdict and what the shift audits found."""
    rows = [
        {"gate": row.name, "limit": row.limit, "value": row.value, "outcome": row.outcome, "what to do": row.remedy}
        for row in decision.rows
    ]
    verdict = "Promoted" if decision.promoted else "Not promoted"
    version = f"[{decision.registered_model} version {decision.version}]({_version(decision, tracker)})"
    address = dossier.page(tracker, decision.run_id)
    link = f" [Its dossier]({address})." if address else ""
    words = f"**{verdict}:** {version}.{link} {decision.reason} {decision.look or ''} {in_words(audits)}".rstrip()
    create_table_artifact(key="decision", table=rows, description=words)


def model_card(decision: Decision, tracker: Tracker) -> None:
    """Model card of the version that was decided on, as in the registry."""
    found = tracker.registry.version(decision.registered_model, decision.version)
    if found:
        head = f"# [{found.name} version {found.version}]({_version(decision, tracker)}): {decision.name}\n\n"
        words = f"What {found.name} version {found.version} is for, and not for."
        create_markdown_artifact(key="model-card", markdown=head + found.description, description=words)


def _version(decision: Decision, tracker: Tracker) -> str:
    return tracker.registry.version_url(decision.registered_model, decision.version)
