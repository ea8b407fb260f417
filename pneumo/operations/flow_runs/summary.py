"""Summary of a run: written by the flow as JSON, shown by the command line as a table."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pneumo.records.base import Interval, Record
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.connection import OUTAGE_SECONDS
from pneumo.tracking.system import FLOW_RUN

FILE = "summary.json"  # of a flow run's folder, and of its MLflow run
NO_INTERVAL = "no interval"
WHY_NONE = "such an AUC is the same in every resample, so its interval cannot be estimated."


class CandidateRow(Record):
    """One candidate; the figures of one that failed are None, and `reason` says why.

    `unmeasured` are sentences on what cannot be measured of a model of embeddings.
    """

    name: str
    minutes: float | None = None
    validation_auc: float | None = None
    test_auc: Interval | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    selection_score: float | None = None
    unmeasured: tuple[str, ...] = ()
    reason: str = ""


class Outcome(Record):
    """The decision in words: `remedies` say what to do about gates that do not hold, `look` counts decisions."""

    promoted: bool
    reason: str
    registered_model: str
    version: str
    remedies: tuple[str, ...] = ()
    look: str = ""


class Summary(Record):
    """Outcome of a flow run; `external` has a sentence on each external set, `shift` those of the shift audits.

    `labels` says how many labels should be looked at, and where they are listed.
    """

    flow_run_id: str
    source: str
    synthetic: bool
    digest: str
    images: int
    candidates: tuple[CandidateRow, ...]
    external: tuple[str, ...] = ()
    shift: tuple[str, ...] = ()
    labels: str = ""
    decision: Outcome
    prefect_url: str
    mlflow_url: str


def path(home: Path, flow_run_id: str) -> Path:
    """File of a flow run's summary."""
    return home / "runs" / flow_run_id / FILE


def write(summary: Summary, home: Path) -> Path:
    """Write a summary to its `path`."""
    target = path(home, summary.flow_run_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(summary.model_dump_json(indent=2))
    return target


def read(home: Path, flow_run_id: str) -> Summary | None:
    """The summary of a flow run, or None if it has not ended."""
    target = path(home, flow_run_id)
    return Summary.model_validate_json(target.read_text()) if target.is_file() else None


def fetch(settings: Settings, flow_run_id: str) -> Summary | None:
    """The summary of a flow run of another machine, from its MLflow run; None if it has not come to its end.

    An outage is waited for, as the run itself does.

    Raises:
        TrackingError: MLflow does not answer, or has the run without its summary.
    """
    tracker = Tracker.of(settings, OUTAGE_SECONDS)
    found = tracker.runs.newest({FLOW_RUN: flow_run_id, "stage": "pipeline"})
    if not found:
        return None
    with tempfile.TemporaryDirectory(prefix="pneumo-") as scratch:
        file = tracker.files.download(f"runs:/{found[0].run_id}/{FILE}", Path(scratch))
        return Summary.model_validate_json(file.read_text())


def show(summary: Summary, console: Console) -> None:
    """Print a summary: a row for each candidate, the decision, and the addresses of both pages."""
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for column in (
        "candidate",
        "validation\nAUC",
        "test AUC\n(95 % interval)",
        "sensi-\ntivity",
        "speci-\nficity",
        "min",
    ):
        table.add_column(column, justify="left" if column == "candidate" else "right", no_wrap=True)
    for row in summary.candidates:
        table.add_row(*cells(row))
    warning = " [yellow](synthetic: drawn by pneumo)[/yellow]" if summary.synthetic else ""
    console.print(f"\nData: {escape(summary.source)}, {summary.images} images, data set {summary.digest[:12]}{warning}")
    console.print(table)
    if any(row.test_auc and not row.test_auc.estimated for row in summary.candidates):
        console.print(f"{NO_INTERVAL}: {WHY_NONE}", highlight=False, soft_wrap=True)
    for row in summary.candidates:
        if row.reason:
            console.print(f"[red]{row.name} failed[/red]: {escape(row.reason)}", highlight=False, soft_wrap=True)
    external = (f"External validation: {line}" for line in summary.external)
    shift = (f"Shift audit: {line}" for line in summary.shift)
    for line in (*unmeasured(summary), *external, *shift, summary.labels):
        if line:
            console.print(line, highlight=False, soft_wrap=True, markup=False)
    verdict = "[green]Promoted[/green]" if summary.decision.promoted else "[yellow]Not promoted[/yellow]"
    name = f"{summary.decision.registered_model} version {summary.decision.version}"
    console.print(f"\n{verdict}: {name}. {escape(summary.decision.reason)}", highlight=False)
    for remedy in summary.decision.remedies:
        console.print(f"[yellow]What to do[/yellow] about {escape(remedy)}", highlight=False, soft_wrap=True)
    if summary.decision.look:
        console.print(summary.decision.look, highlight=False, soft_wrap=True)
    console.print(f"Prefect: {summary.prefect_url}\nMLflow:  {summary.mlflow_url}", highlight=False, soft_wrap=True)


def unmeasured(summary: Summary) -> list[str]:
    """A line for each candidate of which something was not measured."""
    return [f"{row.name}: {' '.join(row.unmeasured)}" for row in summary.candidates if row.unmeasured]


def cells(row: CandidateRow) -> tuple[str, ...]:
    """A candidate as texts: name, validation AUC, test AUC, sensitivity, specificity, minutes."""
    if row.reason:
        return (row.name, *["failed"] * 5)
    interval = _auc(row.test_auc) if row.test_auc else "-"
    plain = [row.sensitivity, row.specificity]
    shares = [f"{share.value:.3f}" if share else "-" for share in plain]
    return (row.name, _number(row.validation_auc, 4), interval, *shares, _number(row.minutes, 1))


def _auc(found: Interval) -> str:
    # A dash, and few words if there is no interval: the table must fit a terminal of 80 columns.
    ends = f"{found.low:.4f}-{found.high:.4f}" if found.estimated else NO_INTERVAL
    return f"{found.value:.4f} ({ends})"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
