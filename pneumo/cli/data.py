"""`pneumo data | versions`: look at data before a training."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo.records.data import DatasetVersion, GateReport, Inventory
from pneumo.settings import Settings, load_settings

if TYPE_CHECKING:
    from pneumo.data.prepare import Prepared
    from pneumo.data.store.version_changes import Comparison

app = typer.Typer()
console = Console(highlight=False, soft_wrap=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
SHOWN = 5  # most images that a list shows
SPLITS = ("train", "validation", "test")


@app.command()
def data(
    source: Annotated[str, typer.Argument(help="Folder, archive, label file, s3://, kaggle:, version: or phantom.")],
    drift: Annotated[bool, typer.Option("--drift", help="Compare with the champion's data; needs MLflow.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read data, check and describe it, and print the digest of its version; nothing is trained."""
    from pneumo.data.prepare import prepare
    from pneumo.data.quality import gate

    settings = load_settings()

    def reference(inventory: Inventory) -> Path | None:
        return _champions_manifest(settings, inventory) if drift else None

    with Console(stderr=True).status("bringing in, checking, describing"):
        found = prepare(source, settings.home, settings.data, settings.gate, reference)
    if as_json:
        console.print_json(found.model_dump_json())
    else:
        show(found, settings)
    gate.require(found.gate)


@app.command()
def versions(
    pair: Annotated[tuple[str, str] | None, typer.Option("--compare", help="Compare two versions.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the dataset versions made here, oldest first, or compare two by the beginnings of their digests."""
    from pneumo.data.store.version_changes import compare
    from pneumo.data.store.versions import find_version, list_versions

    home = load_settings().home
    if pair is None:
        known = list_versions(home)
        if as_json:
            console.print_json(data=[version.model_dump(mode="json") for version in known])
        else:
            console.print(_table(known) if known else "no version yet: run `pneumo data SOURCE`.")
        return
    found = compare(*(find_version(home, digest) for digest in pair))
    if as_json:
        console.print_json(found.model_dump_json())
    else:
        show_comparison(found)


def _champions_manifest(settings: Settings, inventory: Inventory) -> Path | None:
    from pneumo.registry.champion import champion_manifest

    return champion_manifest(settings, inventory.synthetic, settings.home)


def show(found: "Prepared", settings: Settings) -> None:
    """Print what was read, what is wrong with it, and where to read on; the digest last."""
    inventory, report, version = found.inventory, found.gate, found.version
    console.print(f"{inventory.images:,} images{_synthetic(inventory.synthetic)} from {inventory.source}", markup=False)
    for reason, files in sorted(inventory.skipped.items()):
        console.print(f"  {files:,} left out: {reason}", markup=False)
    _show_gate(report)
    if version:
        console.print(_counts(version))
        console.print(f"report     {found.report}", markup=False)
    console.print(f"Data Docs  {report.docs / 'index.html'}", markup=False)
    if found.sent is not None:
        sent = f"{found.sent:,} images sent" if found.sent else "was there"
        console.print(f"storage    {settings.data.storage}: {sent}", markup=False)
    if version:
        console.print(f"version    [bold]{version.digest}[/bold]")


def _show_gate(report: GateReport) -> None:
    failed = [row for row in report.rows if not row.passed]
    for row in sorted(failed, key=lambda row: row.severity):
        colour = "red" if row.severity == "error" else "yellow"
        told = escape(f"{row.name}: expected {row.expected}, found {row.observed}")
        console.print(f"[{colour}]{row.severity}[/{colour}] {told}")
        for name in row.files[:SHOWN]:
            console.print(f"    {name}", markup=False)
        if len(row.files) > SHOWN:
            console.print("    ... (all of them are in the Data Docs)")
    console.print(f"gate       {'passed' if report.passed else 'stopped'}, {len(failed)} of {len(report.rows)} not met")
    if report.quarantined:
        console.print(
            f"left out   {report.quarantined:,} images, each with its reason: {report.quarantine}", markup=False
        )


def _counts(version: DatasetVersion) -> Table:
    table = Table("split", "NORMAL", "PNEUMONIA", box=None, pad_edge=False)
    for split in SPLITS:
        counts = version.counts.get(split, {})
        table.add_row(split, f"{counts.get('NORMAL', 0):,}", f"{counts.get('PNEUMONIA', 0):,}")
    return table


def _table(known: list[DatasetVersion]) -> Table:
    table = Table("version", "images", *SPLITS, "source", box=None, pad_edge=False)
    for version in known:
        parts = [f"{sum(version.counts.get(split, {}).values()):,}" for split in SPLITS]
        source = f"{version.source}{_synthetic(version.synthetic)}"
        table.add_row(version.digest[:12], f"{version.images:,}", *parts, escape(source))
    return table


def _synthetic(drawn: bool) -> str:
    return " (synthetic)" if drawn else ""


def show_comparison(found: "Comparison") -> None:
    """Print what differs between two versions."""
    console.print(f"from {found.before[:12]} to {found.after[:12]}")
    for name in ("added", "removed", "relabelled", "moved"):
        paths = getattr(found, name)
        console.print(f"{name:<11}{len(paths):,}{' to another split' if name == 'moved' else ''}")
        for path in paths[:SHOWN]:
            console.print(f"    {path}", markup=False)
        if len(paths) > SHOWN:
            console.print(f"    ... {len(paths) - SHOWN:,} more (--json lists all)")
    before, after = found.pneumonia_share_before, found.pneumonia_share_after
    console.print(f"pneumonia  {before:.1%} of the images then, {after:.1%} now")
    table = Table("split", "NORMAL then", "now", "PNEUMONIA then", "now", box=None, pad_edge=False)
    for split in SPLITS:
        then, now = found.counts_before.get(split, {}), found.counts_after.get(split, {})
        labels = ("NORMAL", "PNEUMONIA")
        table.add_row(split, *(f"{counts.get(label, 0):,}" for label in labels for counts in (then, now)))
    console.print(table)
