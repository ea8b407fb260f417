"""`pneumo doctor | reconcile | clean | backup | restore`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo.settings import Settings, load_settings
from pneumo.settings.unattended import Retention

if TYPE_CHECKING:
    from pneumo.operations.backup.contents import Contents

app = typer.Typer()
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Service = Annotated[
    Path | None, typer.Option(help="State folder of a service that scores X-rays and keeps its answers elsewhere.")
]
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check all that a run needs, and say what to do; exit code 1 if something is wrong."""
    from pneumo.operations.doctor import examine

    rows = examine(load_settings())
    if as_json:
        console.print_json(data=[row.model_dump() for row in rows])
    else:
        table = Table("what", "state", "found", "what to do", box=None, pad_edge=False)
        for row in rows:
            table.add_row(row.what, f"[{COLOURS[row.state]}]{row.state}[/]", escape(row.found), escape(row.advice))
        console.print(table, highlight=False)
    if any(row.state == "failed" for row in rows):
        raise typer.Exit(1)


@app.command()
def reconcile(
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for servers that do not answer.")] = 0,
) -> None:
    """Close the runs that died on this machine, in Prefect and in MLflow, as `pneumo up` and every flow do."""
    from pneumo.operations.services import close_dead

    close_dead(load_settings(), partial(console.print, highlight=False, soft_wrap=True), wait)


@app.command()
def clean(
    apply: Annotated[bool, typer.Option("--apply", help="Delete; without it nothing is touched.")] = False,
    days: Annotated[
        float | None, typer.Option(min=1, help="Keep what is younger than so many days; default: retention.days.")
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Keep this many of the newest runs; default: retention.runs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is old and needed by nobody; --apply deletes it. Champions keep everything."""
    from pneumo.operations import retention
    from pneumo.registry.promotion import promotion_lock

    settings = _limited(load_settings(), days=days, runs=runs)
    found, unknown = retention.plan(settings, partial(promotion_lock.still, settings)), retention.unknown(settings)
    items = [item for item, _ in found]
    if apply:
        items = retention.apply(found, settings)
    if as_json:
        console.print_json(data=[item.model_dump() for item in [*items, *unknown]])
        return
    table = Table("what", "name", "days old", "MiB", box=None, pad_edge=False)
    for item in [*items, *unknown]:
        table.add_row(item.kind, escape(item.name), f"{item.days:.0f}", f"{item.bytes / 2**20:.1f}")
    if table.rows:
        console.print(table, highlight=False)
    console.print(retention.words(items, unknown, "deleted" if apply else "nothing was touched; --apply deletes them"))


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder, kept as secret as the state folder.")],
    service: Service = None,
) -> None:
    """Copy both databases, MLflow's artifacts and the state that matters into a new folder; servers and runs go on."""
    from pneumo.operations import backup as whole

    found = whole.backup(load_settings(), folder, service)
    console.print(f"{folder}: {_counted(found)}", highlight=False, soft_wrap=True, markup=False)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="What `pneumo backup` wrote.")], service: Service = None
) -> None:
    """Check a backup by its digests and put it into an empty state folder and empty databases."""
    from pneumo.operations import backup as whole

    settings = load_settings()
    found = whole.restore(settings, folder, service)
    words = f"restored into {settings.home}, as of {found.made:%Y-%m-%d %H:%M} UTC: {_counted(found)}"
    words += f"\nIts settings are in {folder / whole.SETTINGS}."
    console.print(words, highlight=False, soft_wrap=True, markup=False)


def _counted(found: "Contents") -> str:
    size = sum(file.bytes for file in found.files.values()) / 2**20
    there = f", and a list of {len(found.objects)} artifacts that stay in {found.artifacts}" if found.objects else ""
    return f"{len(found.files)} files, {size:.1f} MiB{there}"


def _limited(settings: Settings, **given: float | None) -> Settings:
    limits = settings.retention.model_dump() | {name: value for name, value in given.items() if value is not None}
    return settings.model_copy(update={"retention": Retention(**limits)})
