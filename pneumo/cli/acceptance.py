"""`pneumo accept`: whether the champion works on labelled images of a place, and with which operating point."""

import logging
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pneumo.records.base import LABELS, Interval
from pneumo.registry.acceptance.outcome import Acceptance, left_out_in_words, size_in_words
from pneumo.settings import load_settings

app = typer.Typer()
console = Console()


@app.command()
def accept(
    source: Annotated[str, typer.Argument(help="Labelled images of the place: folder, archive, label file, s3://.")],
    calibrate: Annotated[
        int | None,
        typer.Option(min=1, help="Images, by whole patients, that fit a new operating point; the others judge."),
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="Share of pneumonia at the place, 0 to 1.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="models:/name/version or models:/name@alias; default: the champion.")
    ] = None,
    phantom: Annotated[bool, typer.Option("--phantom", help="Use the champion of the drawn images.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Test a version on labelled images of a place, by promotion's limits; a new operating point is a new version."""
    from pneumo.registry.acceptance.accept import accept as ask

    _quiet_mlflow()
    settings = load_settings()
    found = ask(source, settings, settings.home, model, calibrate, prevalence, phantom)
    if as_json:
        console.print_json(found.model_dump_json())
    else:
        show(found, console)


def _quiet_mlflow() -> None:
    """Silence MLflow's request for type hints, which a model with a given signature does not need."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # MLflow reads it when it is imported
    logging.captureWarnings(True)


def show(found: Acceptance, to: Console) -> None:
    """Print the figures at home and at the place, and what follows from them."""
    _say(to, _head(found))
    to.print(_figures(found), highlight=False)
    _say(to, _tail(found))


def _say(to: Console, lines: list[str]) -> None:
    to.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)


def _head(found: Acceptance) -> list[str]:
    images, fitted = (
        ", ".join(f"{counts[label]} {label}" for label in LABELS) for counts in (found.images, found.calibrated_on)
    )
    lines = [f"{found.name}: {images}, {found.patients} patients, judged by {found.model} ({found.candidate})"]
    if any(found.calibrated_on.values()):
        lines.append(f"Offset, temperature and threshold were fitted on {fitted} of other patients.")
    if found.prevalence:
        lines.append(f"Probabilities, and the calibration error, are for {found.prevalence:.1%} pneumonia.")
    return [*lines, *([words] if (words := left_out_in_words(found)) else [])]


def _tail(found: Acceptance) -> list[str]:
    lines = [size_in_words(found.needs)]
    if found.uncertain:
        lines.append(f"Not certain: the limit is within the interval of {', '.join(found.uncertain)}.")
    lines.append(f"{found.verdict} {found.out_of_distribution:.0%} of the images are out-of-distribution.")
    lines += found.shift
    lines += ["", f"{found.reason} {found.advice}".rstrip()]
    if found.version:
        lines.append(_how_to_use(found))
    return [*lines, f"MLflow: {found.run_url}"]


def _figures(found: Acceptance) -> Table:
    points = [judged for judged in (found.before, found.after) if judged]
    columns = ("", "at home", *("here, as it is", "here, new point")[: len(points)], "limit")
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    gates = {row.name: row for row in found.rows}
    error = found.home_calibration_error
    home = {
        "ROC AUC": ("auc", found.home_auc.value),
        "sensitivity": ("sensitivity", found.home_sensitivity.value),
        "specificity": ("specificity", found.home_specificity.value),
        "calibration error": ("calibration_error", error),
    }
    for name, (field, value) in home.items():
        shown = "" if value is None else f"{value:.3f}"
        gate = gates.get(name)
        style = "red" if gate and not gate.passed else ""
        table.add_row(
            name,
            shown,
            *(_interval(getattr(judged, field)) for judged in points),
            gate.limit if gate else "",
            style=style,
        )
    for name in ("offset", "temperature", "threshold"):
        table.add_row(
            name, f"{getattr(found.before, name):.3f}", *(f"{getattr(judged, name):.3f}" for judged in points)
        )
    return table


def _how_to_use(found: Acceptance) -> str:
    if not found.alias:
        return f"Registered {found.uri} as evidence, without an alias: do not use it. The champion has not changed."
    given = f"{found.model.rpartition('/')[0]}@{found.alias}"
    return (
        f"Registered {found.uri}, alias {found.alias}: the same weights, the new operating point. The champion has not "
        f"changed.\nUse it at this place with `pneumo predict FOLDER --model {given}` or `pneumo app --model {given}`."
    )


def _interval(found: Interval) -> str:
    return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})"
