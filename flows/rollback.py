"""Undo a promotion."""

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from pneumo.settings import load_settings
from tasks import promotion

To = Annotated[str | None, Field(description="Version to go back to; empty: the champion before this one")]
Reason = Annotated[str, Field(description="Why, for the history")]
Synthetic = Annotated[bool, Field(description="Of the model of the drawn images instead of real ones")]


@flow(name="pneumonia")
def rollback(to: To = None, reason: Reason = "", synthetic: Synthetic = False) -> State[Any]:
    """Make an earlier champion the champion again, after checking its files and asking it once."""
    decision = promotion.rollback(load_settings(), to, reason, synthetic)
    return Completed(message=f"{decision.registered_model} version {decision.version}: {decision.reason}")
