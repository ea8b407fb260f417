"""`pneumo answers | feedback`: what was answered, and what readers said of it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pneumo.settings import load_settings

app = typer.Typer()
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
WORDS = {
    "kept": "kept",
    "known": "known before",
    "unknown image": "not kept: no answer was given to the image",
    "no such file": "not kept: there is no such file, and it is no hash of an answer",
}


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
        names = (str(row.day), f"{row.model} {row.version}", row.source, str(row.images))
        table.add_row(*names, *shares, f"{row.seconds:.3f}")
    console.print(table if rows else f"no answers in the last {days} days")
    if rows:
        console.print("OOD: out-of-distribution, unlike the training images; days are UTC")
    if broken:
        console.print(f"{broken} lines were cut off and are not counted")


@app.command()
def feedback(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: image, label, and perhaps reader and time.")],
    as_json: AsJson = False,
) -> None:
    """Keep what readers said of images that were answered: NORMAL or PNEUMONIA. The same file can be given again."""
    from pneumo.data.sources.pseudonyms import patient_secret
    from pneumo.serving.feedback_file import take

    home = load_settings().home
    taken = take(file, home, patient_secret(home))
    if as_json:
        console.print_json(taken.model_dump_json())
        return
    console.print(f"{file}: {taken.rows} rows", highlight=False, soft_wrap=True, markup=False)
    for outcome, count in taken.outcomes.items():
        rows = taken.left.get(outcome, ())
        more = ", ..." if count > len(rows) else ""
        named = f" (row{'s' if count > 1 else ''} {', '.join(map(str, rows))}{more})" if rows else ""
        console.print(f"{count:7} {WORDS[outcome]}{named}", highlight=False, soft_wrap=True)
