"""Approval by a person before a promotion: the flow run pauses with the evidence and a form on its page."""

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Running
from pydantic import Field

from pneumo.operations.prefect_api import OUTAGE_SECONDS, PrefectApi, address
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.promotion.state_machine import ApprovalAnswer, Approve
from pneumo.settings import Settings
from tasks.support.people import UNKNOWN
from tasks.support.tracking import tracker

LOOK_SECONDS = 5


class Approval(RunInput):
    """The form on Prefect's page."""

    approve: bool = Field(False, description="Off: rejected")
    name: str = Field(min_length=1, description="Yours; kept in the history")
    reason: str = Field("", description="Kept in the history")


def asking(settings: Settings, requester: str | None = None) -> Approve:
    """Ask on the page of this flow run, and wait for the answer; silence is a rejection.

    Args:
        settings: how long, and where Prefect is.
        requester: who asked for the run, if another person has to approve; None: anybody may.
    """
    hours = settings.promotion.approval_hours

    def ask(rows: list[PolicyRow], evaluation: Evaluation) -> ApprovalAnswer:
        if requester == UNKNOWN:
            return ApprovalAnswer(
                approved=False, said="not asked for: promotion.two_people needs to know who asked for the run"
            )
        form = Approval.with_initial_data(description=evidence(rows, evaluation, tracker().runs.url(evaluation.run_id)))
        get_run_logger().info("waiting %g h for a person's approval: %s", hours, flow_run.ui_url)
        try:
            answer = pause_flow_run(wait_for_input=form, timeout=int(hours * 3600), poll_interval=LOOK_SECONDS)
        except FlowPauseTimeout:
            _go_on()
            return ApprovalAnswer(approved=False, said=f"nobody answered within {hours:g} h")
        if requester and (wrong := _alone(answer, requester, _by_command(answer, settings))):
            return ApprovalAnswer(approved=False, said=wrong)
        verb = "approved" if answer.approve else "rejected"
        because = f": {answer.reason}" if answer.reason else ""
        return ApprovalAnswer(approved=answer.approve, said=f"{verb} by {answer.name}{because}")

    return ask


def _by_command(answer: Approval, settings: Settings) -> bool:
    """Whether `pneumo approve` gave this very answer, in the name of a login; the page can leave no such mark."""
    api = PrefectApi(address(settings), patience=OUTAGE_SECONDS)
    return answer.model_dump() in api.marks(flow_run.id, answer.metadata.key)


def _alone(answer: Approval, requester: str, by_command: bool) -> str:
    """Why an approval is not that of a second person; empty if it is, or if it is a no."""
    if not answer.approve:
        return ""
    if not by_command:
        return f"approved on the page by {answer.name}, but promotion.two_people asks for `pneumo approve`"
    if answer.name.casefold() == requester.casefold():
        return f"approved by {answer.name}, who asked for the run, but promotion.two_people wants a second person"
    return ""


def evidence(rows: list[PolicyRow], evaluation: Evaluation, mlflow_url: str) -> str:
    """What the person decides on, as Markdown."""
    head = f"**{evaluation.name}**: test ROC AUC {evaluation.test_auc:.4f}"
    warnings = [f"**Warning:** {row.finding}. {row.remedy}" for row in rows if row.outcome == "warning"]
    verdict = "No gate refuses." if warnings else "All gates hold."
    gates = "\n".join(f"| {row.name} | {row.value} | {row.limit} | {row.outcome} |" for row in rows)
    table = f"| gate | value | limit | outcome |\n|---|---|---|---|\n{gates}"
    link = f"[Figures and heat maps in MLflow]({mlflow_url})"
    return "\n\n".join([f"{head}. {verdict}", *warnings, table, link])


def _go_on() -> None:
    """Back from a pause that has run out, which Prefect would call a failure: here it is an answer."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Running(), force=True)
