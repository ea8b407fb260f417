"""Who asked for a flow run."""

from prefect.runtime import flow_run

from pneumo.operations.prefect_api import OUTAGE_SECONDS, PrefectApi, address
from pneumo.settings import Settings
from pneumo.tracking.system import REQUESTER, user

NOBODY = "nobody (a schedule or an automation)"
UNKNOWN = "unknown (Prefect's page)"


def requester(settings: Settings) -> str:
    """The person who asked, NOBODY for a scheduled or triggered run, UNKNOWN if it cannot be known.

    Prefect's page gives no name, because Prefect has one login for all; `pneumo` notes whose login it used.
    """
    if not flow_run.id:
        return user()
    run = PrefectApi(address(settings), patience=OUTAGE_SECONDS).run(flow_run.id)
    if named := run["labels"].get(REQUESTER):
        return str(named)
    if not run["deployment_id"]:
        return user()  # called from Python by the user of this process
    return NOBODY if run["auto_scheduled"] or run["created_by"] else UNKNOWN
