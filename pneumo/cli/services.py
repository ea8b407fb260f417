"""`pneumo up | down | status`."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from pneumo.data.files import tells_disk_errors
from pneumo.operations import services
from pneumo.operations.deploy import make_bucket, register, wait_for_servers
from pneumo.settings import load_settings

app = typer.Typer()
console = Console(markup=False)  # a path may hold brackets
Bucket = Annotated[bool, typer.Option("--bucket", help="Make the bucket of data.storage first.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command()
@tells_disk_errors
def up(bucket: Bucket = False) -> None:
    """Start the local Prefect server, MLflow server and worker, and register the deployments."""
    settings = load_settings()
    if bucket:
        make_bucket(settings)
    services.up(settings, console.print)
    status()


@app.command()
def deploy(
    bucket: Bucket = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for servers that are still starting.")] = 0,
) -> None:
    """Register work pool, result storage and deployments on a Prefect server elsewhere (PREFECT_API_URL)."""
    settings = load_settings()
    wait_for_servers(settings, wait)
    if bucket:
        make_bucket(settings)
    register(settings, console.print)


@app.command()
@tells_disk_errors
def down() -> None:
    """Stop what `up` started."""
    stopped = services.down(load_settings())
    console.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
@tells_disk_errors
def status(as_json: AsJson = False) -> None:
    """Show which services run, where they answer and where their logs are."""
    rows = services.status(load_settings())
    if as_json:
        console.print_json(data=[{**asdict(row), "log": str(row.log)} for row in rows])
        return
    table = Table("service", "state", "pid", "address", Column("log", overflow="fold"), box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, row.state, str(row.pid or "-"), row.url, str(row.log))
    console.print(table)
