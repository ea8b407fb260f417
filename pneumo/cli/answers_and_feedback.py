"""`pneumo answers | feedback`: what was answered, and what readers said of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from pneumo.settings import load_settings
from pneumo.words import counted

if TYPE_CHECKING:
    import pandas as pd

    from pneumo.monitoring.answers_by_day import AnswersOfDay
    from pneumo.monitoring.realised import Realised
    from pneumo.monitoring.shadow_comparison import ShadowComparison
    from pneumo.monitoring.version_figures import VersionFigures

app = typer.Typer()
console = Console()
SHOWN = 10  # contradicted images that are listed; --json lists all
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
WORDS = {
    "kept": "kept",
    "known": "known: the same reader said the same before",
    "unknown image": "not kept: no answer was given to the image",
    "no such file": "not kept: there is no such file, and it is no hash of an answer",
}


@app.command()
def answers(
    days: Annotated[int, typer.Option(min=1, max=3650, help="Answers of so many last days, today included.")] = 14,
    as_json: AsJson = False,
) -> None:
    """Show what was answered, by day and version, and how well it agrees with what readers said of the images."""
    from pneumo.monitoring.answers_by_day import by_day
    from pneumo.monitoring.shadow_comparison import compare_shadows
    from pneumo.monitoring.version_figures import by_version
    from pneumo.serving import answer_log, shadow_log
    from pneumo.serving.feedback import agreed

    settings, now = load_settings(), datetime.now(UTC)
    found, broken = answer_log.read(settings.home)
    said, unread = agreed(settings.home)
    pairs, halves = shadow_log.read(settings.home)
    lost = broken + unread + halves
    first = now.date() - timedelta(days=days - 1)
    rows = by_day(found[found["time"].dt.date >= first])
    figures = by_version(found, said.labels, days, now, settings.watch)
    shadows = compare_shadows(pairs, said.labels, settings.watch.minimum_feedback)
    if as_json:
        told = {
            "days": [row.model_dump(mode="json") for row in rows],
            "versions": [row.model_dump(mode="json") for row in figures],
            "shadows": [row.model_dump(mode="json") for row in shadows],
            "contradicted": said.contradicted.to_dict("records"),
            "broken_lines": lost,
        }
        console.print_json(data=told)
        return
    _show_days(rows, days)
    if figures:
        _show_versions(figures, days)
    _show_shadows(shadows)
    _show_contradicted(said.contradicted)
    if lost:
        console.print(f"{counted(lost, 'line')} cut off and not counted")


@app.command()
def feedback(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: image, label, and perhaps reader and time.")],
    as_json: AsJson = False,
) -> None:
    """Keep what readers said of images that were answered: NORMAL or PNEUMONIA. The same file can be given again."""
    from pneumo.data.privacy.pseudonyms import patient_secret
    from pneumo.serving.feedback_file import take

    home = load_settings().home
    taken = take(file, home, patient_secret(home))
    if as_json:
        console.print_json(taken.model_dump_json())
        return
    console.print(f"{file}: {counted(taken.rows, 'row')}", highlight=False, soft_wrap=True, markup=False)
    for outcome, count in taken.outcomes.items():
        rows = taken.left.get(outcome, ())
        more = ", ..." if count > len(rows) else ""
        named = f" (row{'s' if count > 1 else ''} {', '.join(map(str, rows))}{more})" if rows else ""
        console.print(f"{count:7} {WORDS[outcome]}{named}", highlight=False, soft_wrap=True)


def _show_days(rows: "Sequence[AnswersOfDay]", days: int) -> None:
    table = Table("day", "model", "by", "images", "PNEUMONIA", "OOD", "unreadable", "median s", box=None)
    for row in rows:
        shares = (f"{share:.1%}" for share in (row.positive, row.out_of_distribution, row.unreadable))
        names = (str(row.day), f"{row.model} {row.version}", row.source, str(row.images))
        table.add_row(*names, *shares, f"{row.seconds:.3f}")
    console.print(table if rows else f"no answers in the last {days} days")
    if rows:
        console.print("OOD: out-of-distribution, unlike the training images; days are UTC")


def _show_versions(figures: "Sequence[VersionFigures]", days: int) -> None:
    """Figures with feedback, and the AUC that is to be expected without; in lines, which fit any terminal."""
    _say("\nwith feedback (rarely a random sample: the figures are of these images alone)")
    for row in figures:
        for period, one in ((f"last {days} days", row.realised), ("all", row.realised_ever)):
            _say(f"{row.model} {row.version}, {period}: {_realised(one)}")
    _say("\nexpected without labels, if probabilities are calibrated")
    for row in (row for row in figures if row.estimate.images):
        auc = f"ROC AUC {row.estimate.auc:.3f}" if row.estimate.auc else f"withheld, {row.estimate.withheld}"
        _say(f"{row.model} {row.version}, last {days} days: {auc}")


def _show_shadows(found: "Sequence[ShadowComparison]") -> None:
    from pneumo.monitoring.shadow_comparison import difference

    if found:
        _say("\nshadows, which no client saw: differences are shadow minus champion, with 95 % intervals")
    for row in found:
        _say(f"{row.model} {row.version}, {difference(row)}")


def _realised(found: "Realised") -> str:
    from pneumo.monitoring.realised import NAMES

    if found.withheld:
        return f"withheld, {found.withheld}"
    figures = (f"\n  {words:18} {getattr(found, name):.3f}" for name, words in NAMES.items())
    return f"{found.normal} NORMAL, {found.pneumonia} PNEUMONIA{''.join(figures)}"


def _show_contradicted(rows: "pd.DataFrame") -> None:
    images = list(rows["image"].unique())
    if images:
        _say(f"{counted(len(images), 'image')} on which readers contradict each other, in no figure:")
    for image in images[:SHOWN]:
        mine = rows[rows["image"] == image]
        said = (
            f"{label} by {reader or 'unnamed'}" for label, reader in zip(mine["label"], mine["reader"], strict=True)
        )
        _say(f"  {image}: {', '.join(said)}")
    if len(images) > SHOWN:
        _say(f"  ... {len(images) - SHOWN} more (--json lists all)")


def _say(words: str) -> None:
    console.print(words, highlight=False, soft_wrap=True, markup=False)
