"""`pneumo train`: run a deployment to its end."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pneumo.data.files import tells_disk_errors
from pneumo.errors import ServiceError
from pneumo.operations import embedded, processes, services
from pneumo.operations.flow_runs import summary
from pneumo.operations.flow_runs.follow import follow
from pneumo.operations.prefect_api import OUTAGE_SECONDS, PrefectApi, address
from pneumo.settings import Settings, load_settings
from pneumo.tracking.logins import person

app = typer.Typer()
console = Console()
PLACES = ("data", "weights", "embeddings")  # parameters that may be paths
NAMES = ("phantom", "imagenet", "none")  # no paths, also where a folder has such a name


@app.command()
@tells_disk_errors
def train(
    data: Annotated[str, typer.Option(help="Folder, archive, s3://, kaggle: or phantom (drawn images).")] = "phantom",
    weights: Annotated[str | None, typer.Option(help="imagenet, a folder, s3:// or none; default by the data.")] = None,
    backbones: Annotated[str, typer.Option(help="Comma-separated, such as MobileNetV2,MobileNet:0.5.")] = "",
    preset: Annotated[str | None, typer.Option(help="quick, standard or best: how much time it takes.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Any other flow parameter, name=value (JSON).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run the deployment pneumonia/train to its end and show the outcome."""
    parameters: dict[str, Any] = {"data": data, **_pairs(param or [])}
    parameters |= {"preset": preset} if preset else {}
    parameters |= {"weights": weights} if weights else {}
    parameters |= {name: _absolute(parameters[name]) for name in PLACES if name in parameters}
    parameters |= {"backbones": [name.strip() for name in backbones.split(",")]} if backbones else {}
    found = _to_the_end("pneumonia/train", parameters, load_settings(), Console(stderr=True) if as_json else console)
    if as_json:
        console.print_json(found.model_dump_json())
    else:
        summary.show(found, console)


def _to_the_end(deployment: str, parameters: dict[str, Any], settings: Settings, say: Console) -> summary.Summary:
    if address(settings) == settings.prefect_api:
        services.up(settings, say.print)
    run = _followed(deployment, parameters, settings, say)
    run_id = run["id"]
    if run["state_type"] != "COMPLETED":
        reason = run["state"].get("message") or "no reason given; see the run's page"
        raise ServiceError(f"the run ended as {run['state_name']}: {reason}")
    found = summary.read(settings.home, run_id) or summary.fetch(settings, run_id)
    if found is None:
        raise ServiceError(
            f"Expected a summary of run {run_id} in {settings.home} or in MLflow, found none: set "
            "PNEUMO_TRACKING__URI to the server that the worker uses."
        )
    return found


def _followed(deployment: str, parameters: dict[str, Any], settings: Settings, say: Console) -> dict[str, Any]:
    """Start a flow run and wait for its end; Ctrl-C cancels it from the moment it exists."""
    api, run_id, requester = PrefectApi(address(settings)), "", person(settings.tracking_uri)
    try:
        with processes.interrupts_wait():
            run_id = api.create_run(deployment, parameters, requester)
        say.print(f"{deployment}: {embedded.run_page(settings, run_id)}", highlight=False, soft_wrap=True)
        return follow(PrefectApi(address(settings), patience=OUTAGE_SECONDS), run_id, say)
    except KeyboardInterrupt:
        if run_id:
            api.cancel(run_id)
            say.print("Cancelled: the worker ends the run; finished stages are kept and reused.")
        raise


def _absolute(place: Any) -> Any:
    """A path, or a list of them, made absolute: it is relative to a working folder that is not the worker's."""
    if isinstance(place, list):
        return [_absolute(item) for item in place]
    is_path = isinstance(place, str) and place not in ("", *NAMES) and os.path.exists(place)
    return str(Path(place).resolve()) if is_path else place


def _pairs(texts: list[str]) -> dict[str, Any]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected name=value, got {text!r}", param_hint="--param")
        try:
            pairs[name] = json.loads(value)
            json.dumps(pairs[name], allow_nan=False)
        except json.JSONDecodeError:
            pairs[name] = value  # a value that is no JSON is text, as in `prefect deployment run --param`
        except ValueError:
            raise typer.BadParameter(f"expected a finite number, got {text!r}", param_hint="--param") from None
    return pairs
