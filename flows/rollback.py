"""Undo a promotion."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pneumo.flow_parameters import Version
from tasks import operations, promotion
from tasks.support.naming import dated


@flow(name="pneumonia", flow_run_name=dated("rollback"))
def rollback(to: Version = None, reason: str = "", synthetic: bool = False) -> State[Any]:
    """Make an earlier champion the champion again, after checking its files and scoring with it once.

    Args:
        to: Version to go back to. Empty: the champion before this one.
        reason: Why, for the history.
        synthetic: Use the model of the drawn images instead of real ones.
    """
    with operations.guard() as settings:
        decision = promotion.rollback(settings, str(to) if to else None, reason, synthetic)
    return Completed(message=f"{decision.registered_model} version {decision.version}: {decision.reason}")
