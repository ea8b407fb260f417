"""`pneumo correct`: labels that a person corrected become another version of a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo.cli.data import AsJson, show, show_comparison
from pneumo.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()
told = Console(stderr=True, highlight=False, soft_wrap=True)
SHOWN = 50  # most images that are listed


@app.command()
def correct(
    source: Annotated[str, typer.Argument(help="The data set, named as for `pneumo data`.")],
    sheet: Annotated[
        Path, typer.Argument(help="label_audit/labels.csv of a training, with the column `corrected` filled in.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what corrected labels change, ask, and make a version with them; the source's files stay as they are."""
    from pneumo.data.corrections import correct as corrected
    from pneumo.data.corrections import read_corrections
    from pneumo.data.prepare import prepare, prepare_inventory
    from pneumo.data.quality import gate
    from pneumo.data.store.version_changes import compare

    settings = load_settings()
    known = (settings.home, settings.data, settings.gate)
    before = prepare(source, *known)
    gate.require(before.gate)
    assert before.version  # noqa: S101 - the gate has let it pass
    changes = read_corrections(sheet, before.version)
    _show_changes(changes)
    if not yes:
        typer.confirm("Make a version with these labels?", abort=True, err=True)
    after = prepare_inventory(corrected(before.inventory, changes, settings.home), *known)
    if as_json:
        typer.echo(after.model_dump_json())
    else:
        show(after, settings)
        if after.version:
            show_comparison(compare(before.version, after.version))
            typer.echo(f"to train on it: pneumo train --data version:{after.version.digest[:12]}")
    gate.require(after.gate)


def _show_changes(changes: "pd.DataFrame") -> None:
    table = Table("image", "label now", "corrected", box=None, pad_edge=False)
    for row in changes.head(SHOWN).to_dict("records"):
        table.add_row(*(escape(str(row[name])) for name in ("path", "label", "corrected")))
    told.print(table)
    counts = (changes["label"] + " to " + changes["corrected"]).value_counts()
    for words, images in counts.items():
        told.print(f"{images:,} from {words}")
