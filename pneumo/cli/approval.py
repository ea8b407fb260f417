"""`pneumo approve`: approval by a person, in the name of the login."""

from typing import Annotated

import typer
from rich.console import Console

from pneumo.errors import ServiceError
from pneumo.operations.prefect_api import PrefectApi, address
from pneumo.settings import load_settings
from pneumo.tracking.logins import person

app = typer.Typer()
console = Console()


@app.command()
def approve(
    run: Annotated[str, typer.Argument(help="Id of the flow run that waits; default: the only one.")] = "",
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
) -> None:
    """Approve or reject the promotion of a run that waits, as the user of MLflow's login."""
    settings = load_settings()
    api, name = PrefectApi(address(settings)), person(settings.tracking_uri)
    if run and api.find_run(run) is None:
        raise ServiceError(
            f"Expected the id of a run that waits for a person, got {run}, which Prefect does not know: see its page."
        )
    run_id = run or _only(api)
    api.resume(run_id, {"approve": not reject, "name": name, "reason": reason})
    console.print(f"{name} {'rejected' if reject else 'approved'} the promotion of run {run_id}", soft_wrap=True)


def _only(api: PrefectApi) -> str:
    waiting = [run["id"] for run in api.runs(["PAUSED"])]
    if len(waiting) != 1:
        found = f"these do: {', '.join(waiting)}" if waiting else "none does"
        raise ServiceError(f"Expected one run that waits for a person, but {found}: name the run's id.")
    return str(waiting[0])
