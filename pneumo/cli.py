"""The command line: short sentences, tables, `--json` for scripts.

Exit codes: 0 done (a run that promotes nothing is done too), 1 an expected error, told in one sentence, 2 wrong usage,
130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pneumo.errors import PneumoError, ServiceError
from pneumo.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def main() -> None:
    """Run the command line; an expected error is one sentence and exit code 1."""
    try:
        app()
    except PneumoError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def up() -> None:
    """Start the local Prefect server, MLflow server and worker, and lay the deployments."""
    from pneumo.operations import services

    settings = load_settings()
    services.up(settings, console.print)
    status()


@app.command()
def down() -> None:
    """Stop what `up` started."""
    from pneumo.operations import services

    stopped = services.down(load_settings())
    console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show what runs, where it answers and where its log is."""
    from dataclasses import asdict

    from pneumo.operations import services

    rows = services.status(load_settings())
    if as_json:
        console.print_json(data=[{**asdict(row), "log": str(row.log)} for row in rows])
        return
    table = Table("service", "state", "pid", "address", "log", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, row.state, str(row.pid or "-"), row.url, str(row.log))
    console.print(table)


@app.command()
def train(
    data: Annotated[str, typer.Option(help="Folder, archive, s3://, kaggle: or phantom (drawn images).")] = "phantom",
    weights: Annotated[str | None, typer.Option(help="imagenet, a folder, s3:// or none; default by the data.")] = None,
    backbones: Annotated[str, typer.Option(help="Comma-separated, such as MobileNetV2,MobileNet:0.5.")] = "",
    param: Annotated[list[str] | None, typer.Option(help="Any other flow parameter, name=value (JSON).")] = None,
) -> None:
    """Run the deployment pneumonia/train to its end and show what came of it."""
    parameters: dict[str, Any] = {"data": _absolute(data), **_pairs(param or [])}
    parameters |= {"weights": _absolute(weights)} if weights else {}
    parameters |= {"backbones": [name.strip() for name in backbones.split(",")]} if backbones else {}
    settings = load_settings()
    _run_to_the_end("pneumonia/train", parameters, settings)


@app.command()
def champion(
    history: Annotated[bool, typer.Option("--history", help="Every promotion, rejection and rollback.")] = False,
    synthetic: Annotated[bool, typer.Option("--phantom", help="The champion of the drawn images.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the champion: version, AUC with interval, data digest, since when."""
    from pneumo.operations import registry_view

    registry_view.champion(load_settings(), console, history=history, synthetic=synthetic, as_json=as_json)


def _run_to_the_end(deployment: str, parameters: dict[str, Any], settings: Settings) -> None:
    from pneumo.operations import services, summary
    from pneumo.operations.follow import follow
    from pneumo.operations.prefect_api import PrefectApi, address

    api = PrefectApi(address(settings))
    if address(settings) == settings.prefect_api:
        services.up(settings, console.print)
    run_id = api.create_run(deployment, parameters)
    console.print(f"{deployment}: {services.run_page(settings, run_id)}", highlight=False, soft_wrap=True)
    run = follow(api, run_id, console)
    if run["state_type"] != "COMPLETED":
        raise ServiceError(f"The run ended as {run['state_name']}: {run['state'].get('message') or 'no reason given'}")
    found = summary.read(settings.home, run_id)
    if found is not None:
        summary.show(found, console)


def _absolute(place: str) -> str:
    """Paths are given relative to where the user stands; the worker stands elsewhere."""
    return str(Path(place).resolve()) if Path(place).expanduser().exists() else place


def _pairs(texts: list[str]) -> dict[str, Any]:
    import json

    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"expected name=value, got {text!r}", param_hint="--param")
        try:
            pairs[name] = json.loads(value)
        except json.JSONDecodeError:
            pairs[name] = value  # a bare word is text, as in `prefect deployment run --param`
    return pairs


if __name__ == "__main__":
    main()
