"""House-keeping on a schedule."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import operations
from tasks.support.naming import dated


@flow(name="pneumonia", flow_run_name=dated("maintain"))
def maintain(apply: bool | None = None) -> State[Any]:
    """List what is old and needed by nobody; delete it if `apply`, or retention.apply, says so.

    Args:
        apply: Delete, or only list. Empty: retention.apply of mlflow.yaml.
    """
    with operations.guard() as settings:
        operations.collapse(settings)
        return Completed(message=operations.clean(settings, settings.retention.apply if apply is None else apply))
