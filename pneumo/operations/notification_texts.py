"""Notifications: the title and the text of each message to people. No text quotes a path, which may name a patient."""

from typing import Literal

from pneumo.operations.flow_runs.summary import Outcome
from pneumo.records.base import Record


class Message(Record):
    """A message to people on what happened; `link` is the page that tells the rest."""

    kind: Literal["promotion", "rejection", "failure", "drift", "answers"]
    title: str
    text: str
    link: str = ""


def run_failed(run: str, error: Exception, link: str) -> Message:
    """A flow run failed; of the error only its kind is told, the words stay on the run's page."""
    return Message(kind="failure", title=f"{run} failed", text=f"{type(error).__name__}, see the flow run", link=link)


def run_died(flow_run_id: str) -> Message:
    """A flow run was found dead, and was closed."""
    words = f"flow run {flow_run_id} had died: closed it and its MLflow runs"
    return Message(kind="failure", title="a run died", text=words)


def decided(decision: Outcome, link: str) -> Message:
    """A version became champion, or did not, with the reason."""
    version = f"{decision.registered_model} version {decision.version}"
    if decision.promoted:
        return Message(kind="promotion", title=f"{version} is champion", text=decision.reason, link=link)
    return Message(kind="rejection", title=f"{version} was not promoted", text=decision.reason, link=link)


def images_drifted(reason: str, link: str) -> Message:
    """The images of a source differ from the champion's; the source itself is told by the linked run alone."""
    return Message(kind="drift", title="images have drifted", text=reason, link=link)


def answers_changed(reason: str, link: str) -> Message:
    """The champion's answers are not what they were, or readers agree less often with them."""
    return Message(kind="answers", title="answers have changed", text=reason, link=link)
