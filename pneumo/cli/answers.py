"""`pneumo answers`: what was answered."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pneumo.settings import load_settings

app = typer.Typer()
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.command()
def answers(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Of the last days, today's too.")] = 14,
    as_json: AsJson = False,
) -> None:
    """Show what was answered, by day and version, over HTTP and in batches."""
    from pneumo.monitoring.answers import by_day
    from pneumo.serving import answer_log

    found, broken = answer_log.read(load_settings().home, days)
    rows = by_day(found)
    if as_json:
        console.print_json(data={"days": [row.model_dump(mode="json") for row in rows], "broken_lines": broken})
        return
    table = Table("day", "model", "by", "images", "PNEUMONIA", "OOD", "unreadable", "median s", box=None)
    for row in rows:
        shares = (f"{share:.1%}" for share in (row.positive, row.out_of_distribution, row.unreadable))
        table.add_row(
            str(row.day), f"{row.model} {row.version}", row.source, str(row.images), *shares, f"{row.seconds:.3f}"
        )
    console.print(table if rows else f"no answers in the last {days} days")
    if rows:
        console.print("OOD: out-of-distribution, unlike the training images; days are UTC")
    if broken:
        console.print(f"{broken} lines were cut off and are not counted")
