"""`pneumo champion | rollback | lift`: which version serves, why, and how to undo it."""

from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pneumo.data.files import tells_disk_errors
from pneumo.records.base import Record
from pneumo.settings import Settings, load_settings
from pneumo.words import counted

app = typer.Typer()
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Phantom = Annotated[bool, typer.Option("--phantom", help="Use the model of the drawn images instead of real ones.")]


@app.command()
def champion(
    history: Annotated[bool, typer.Option("--history", help="Every promotion, rejection and rollback.")] = False,
    phantom: Phantom = False,
    as_json: AsJson = False,
) -> None:
    """Show the champion: version, AUC with interval, data digest, since when."""
    from pneumo.registry.champion import champion as find

    if history:
        _history(phantom, as_json)
        return
    settings = load_settings()
    found = find(settings, phantom)
    if found is None:
        _none(settings, phantom, as_json)
    elif as_json:
        console.print_json(found.model_dump_json())
    else:
        interval = format(found.auc, ".4f") if found.auc else "unknown"
        since = f"{found.since:%Y-%m-%d %H:%M} UTC" if found.since else "an unknown time"
        rows = {
            "champion": f"{found.registered_model} version {found.version}: {found.name}",
            "test AUC": interval,
            "data set": found.dataset_digest[:12] + (" (synthetic)" if found.synthetic else ""),
            "since": since,
        }
        if found.look:
            counts = f"{counted(found.decisions, 'decision')} so far, {counted(found.promotions, 'promotion')}"
            rows["test images"] = f"{found.look.images}, digest {found.look.test_set[:12]}: {counts}"
        rows["MLflow"] = found.run_url
        if found.dossier_url:
            rows["dossier"] = found.dossier_url
        for title, said in rows.items():  # in lines: a table would cut the links at the terminal's width
            console.print(f"{title:13}{said}", highlight=False, soft_wrap=True, markup=False)


@app.command()
@tells_disk_errors
def rollback(
    to: Annotated[
        str | None, typer.Option(help="Earlier champion to go back to; default: the newest not barred.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    phantom: Phantom = False,
    as_json: AsJson = False,
) -> None:
    """Undo a promotion: an earlier champion serves again, after a check; the present one is barred from promotion."""
    from pneumo.registry.rollback import rollback as undo

    settings = load_settings()
    done = undo(settings, settings.home, to, reason, phantom)
    _tell(done, f"{done.registered_model} version {done.version} is champion again: {done.reason}", as_json)


@app.command()
def lift(
    version: Annotated[str, typer.Argument(help="Version that was rolled back.")],
    reason: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    phantom: Phantom = False,
    as_json: AsJson = False,
) -> None:
    """Let a version that was rolled back, and others with the same weights, be promoted again."""
    from pneumo.registry.barred import lift as unbar

    settings = load_settings()
    done = unbar(settings, settings.home, version, reason, phantom)
    _tell(done, f"{settings.model_name(phantom)} version {done.version} is no longer barred: {done.reason}", as_json)


def _tell(done: Record, words: str, as_json: bool) -> None:
    if as_json:
        console.print_json(done.model_dump_json())
    else:
        console.print(words, highlight=False, soft_wrap=True, markup=False)


def _none(settings: Settings, phantom: bool, as_json: bool) -> None:
    """Print, where there is no champion, which version was refused last, why, and what to do."""
    from pneumo.registry.champion import has_drawn, refused
    from pneumo.tracking import Tracker

    last, model = refused(settings, phantom), settings.model_name(phantom)
    if as_json:
        console.print_json(data={"champion": None, "refused": last.model_dump(mode="json")} if last else None)
    elif last is None:
        drawn = not phantom and has_drawn(Tracker.of(settings), settings)
        more = ", or add --phantom for that of the drawn images" if drawn else ""
        console.print(f"{model} has no champion yet: run `make train`{more}.", soft_wrap=True, highlight=False)
    else:
        head = f"{model} has no champion yet. Version {last.version} was refused on {last.when:%Y-%m-%d %H:%M} UTC."
        remedy = f"What to do about {last.remedy}" if last.remedy else ""
        console.print(
            "\n".join(filter(None, (head, last.reason, remedy))), highlight=False, soft_wrap=True, markup=False
        )


def _history(phantom: bool, as_json: bool) -> None:
    from pneumo.registry.history import MOVES, history

    rows = history(load_settings(), phantom)
    if as_json:
        console.print_json(data=[row.model_dump(mode="json") for row in rows])
        return
    for row in rows:
        missed = row.action in MOVES and not row.took_effect
        look = f"decision {row.look.number} on test images {row.look.test_set[:6]}" if row.look else ""
        facts = (f"{row.action} of version {row.version}", "did not take effect" * missed, f"by {row.who}", look)
        when = f"{row.when:%Y-%m-%d %H:%M} UTC"
        console.print(f"{when}  {', '.join(filter(None, facts))}", highlight=False, markup=False)
        console.print(Padding(Text(row.reason), (0, 0, 0, 4), expand=False))
