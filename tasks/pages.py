"""Artifacts on Prefect's pages, with stable keys, so that each page shows its history over runs."""

import re
from collections.abc import Sequence
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from pneumo.data.quality.two_sample_test import excess, sentences
from pneumo.operations.doctor.row import Row
from pneumo.operations.retention.item import Item
from pneumo.operations.summary import CandidateRow
from pneumo.records.base import Interval
from pneumo.records.data import DatasetVersion, GateReport, ShiftAudit
from pneumo.records.decision import Decision
from pneumo.records.model import External
from pneumo.registry.acceptance.outcome import Acceptance, left_out_in_words, size_in_words
from pneumo.tracking import Tracker
from pneumo.tracking.addresses import artifact
from pneumo.training.process.progress import OnProgress, Progress, describe

DATA_DOCS, EXPLORATION = "data_docs/index.html", "exploration/report.html"
EVIDENCE = "promotion/decision.json"


def key(text: str) -> str:
    """An artifact key: lowercase letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def doctor_table(rows: Sequence[Row]) -> None:
    """Table of the checks before the work, with what to do."""
    create_table_artifact(key="doctor", table=[row.model_dump() for row in rows], description="Checks before the work.")


def clean_table(items: Sequence[Item]) -> None:
    """Table of what house-keeping found."""
    create_table_artifact(key="clean", table=[item.model_dump() for item in items], description="Old and not needed.")


def gate_table(report: GateReport, mlflow_url: str) -> None:
    """Table of the expectations and their outcomes."""
    rows = [
        {
            "expectation": row.name,
            "outcome": "passed" if row.passed else row.severity,
            "expected": row.expected,
            "observed": row.observed,
            "files": ", ".join(row.files[:5]),
        }
        for row in report.rows
    ]
    words = f"{report.quarantined} files in quarantine. [Data Docs]({artifact(mlflow_url, DATA_DOCS)})"
    create_table_artifact(key="gate", table=rows, description=words)


def data_summary(version: DatasetVersion, mlflow_url: str) -> None:
    """Counts by split and class, and a link to the exploration report."""
    warning = (
        "**Synthetic images, drawn by pneumo: figures say nothing about patients.**\n\n" if version.synthetic else ""
    )
    lines = [
        f"| {split} | {counts.get('NORMAL', 0)} | {counts.get('PNEUMONIA', 0)} |"
        for split, counts in version.counts.items()
    ]
    table = "\n".join(["| split | NORMAL | PNEUMONIA |", "|---|---|---|", *lines])
    head = f"{warning}{version.images} images from `{version.source}`, data set `{version.digest[:12]}`\n\n"
    report = f"\n\n[What is in this data set]({artifact(mlflow_url, EXPLORATION)})"
    words = f"{version.images} images, data set {version.digest[:12]}"
    create_markdown_artifact(key="data", markdown=head + table + report, description=words)


def progress_bar(name: str) -> OnProgress:
    """A progress bar for a training, which follows its events."""
    bar = create_progress_artifact(progress=0.0, key=key(f"progress-{name}"), description=f"{name}: start")
    assert isinstance(bar, UUID)  # noqa: S101 - in a synchronous task the call is synchronous

    def follow(event: Progress) -> None:
        update_progress_artifact(artifact_id=bar, progress=share(event), description=f"{name}: {describe(event)}")

    return follow


def share(event: Progress) -> float:
    """Percentage of a training that is done, 0 to 100."""
    if event.stage == "done":
        return 100.0
    over = event.epoch - 1 + event.step / event.steps if event.steps else event.epoch
    return min(99.0, 100.0 * over / max(event.epochs, 1))


def leaderboard(rows: tuple[CandidateRow, ...]) -> None:
    """The candidates side by side."""
    create_table_artifact(key="leaderboard", table=[_plain(row) for row in rows], description="Ranked by validation.")


def external_set(found: External) -> None:
    """Whether the candidate generalises to an external set, and its figures there."""
    lines = [
        f"| {name} | {item:.3f} |"
        for name, item in (
            ("ROC AUC", found.auc),
            ("sensitivity", found.sensitivity),
            ("specificity", found.specificity),
        )
    ]
    table = "\n".join(["| | value (95 %) |", "|---|---|", *lines])
    far = f"{found.out_of_distribution:.0%} of them out-of-distribution"
    words = f"{found.images} images, {far}, {found.errors} unreadable."
    words += f" {found.left_out} of patients in the data set are left out." if found.left_out else ""
    create_markdown_artifact(key=key(f"external-{found.name}"), markdown=f"**{found.verdict}**\n\n{words}\n\n{table}")


def acceptance(found: Acceptance) -> None:
    """Figures of a version at a place, before and with its new operating point, and what follows."""
    points = {"as it is": found.before, **({"new point": found.after} if found.after else {})}
    names = {"ROC AUC": "auc", "sensitivity": "sensitivity", "specificity": "specificity"}
    lines = []
    for name, field in (names | {"calibration error": "calibration_error"}).items():
        values = (getattr(judged, field) for judged in points.values())
        lines.append(
            f"| {name} |" + "".join(f" {item.value:.3f} ({item.low:.3f} to {item.high:.3f}) |" for item in values)
        )
    head = f"| | {' | '.join(points)} |\n|---{'|---' * len(points)}|"
    words = (
        f"**{found.reason}** {found.advice}\n\n{size_in_words(found.needs)} {left_out_in_words(found)}\n\n"
        f"{found.verdict} {' '.join(found.shift)}"
    )
    registered = (
        f"\n\nRegistered `{found.uri}`{f', alias `{found.alias}`' if found.alias else ''}." if found.version else ""
    )
    table = "\n".join([head, *lines])
    create_markdown_artifact(key=key(f"accept-{found.name}"), markdown=f"{words}{registered}\n\n{table}")


def shift_table(audits: Sequence[ShiftAudit]) -> None:
    """Whether test and external images can be told from training images of their class."""
    rows = [
        {
            "images": audit.name,
            "class": row.label,
            "number": row.images,
            "patients": row.patients,
            "AUC against training images": _interval(row.auc),
            "between random halves": _interval(row.random),
            "above chance by": round(excess(row), 3),
            "features": audit.features,
        }
        for audit in audits
        for row in audit.rows
    ]
    create_table_artifact(key="shift-audit", table=rows, description=_in_words(audits))


def decision_table(decision: Decision, tracker: Tracker, audits: Sequence[ShiftAudit] = ()) -> None:
    """Table of the gates with limit, value and what to do, with the verdict and what the shift audits found."""
    rows = [
        {"gate": row.name, "limit": row.limit, "value": row.value, "outcome": row.outcome, "what to do": row.remedy}
        for row in decision.rows
    ]
    verdict = "Promoted" if decision.promoted else "Not promoted"
    version = f"[{decision.registered_model} version {decision.version}]({_version(decision, tracker)})"
    words = f"**{verdict}:** {version}. {decision.reason} {decision.look or ''} {_in_words(audits)}".rstrip()
    create_table_artifact(key="decision", table=rows, description=words)


def model_card(decision: Decision, tracker: Tracker) -> None:
    """Model card of the version that was decided on, as in the registry."""
    found = tracker.registry.version(decision.registered_model, decision.version)
    if found:
        head = f"# [{found.name} version {found.version}]({_version(decision, tracker)}): {decision.name}\n\n"
        words = f"What {found.name} version {found.version} is for, and not for."
        create_markdown_artifact(key="model-card", markdown=head + found.description, description=words)


def links(mlflow_url: str, leaderboard_url: str) -> None:
    """Links to the MLflow page of this run, to what it keeps there, and to all runs side by side."""
    places = {
        "This run in MLflow": mlflow_url,
        "All runs and candidates in MLflow, side by side": leaderboard_url,
        "Data Docs: what was expected of the data, and found": artifact(mlflow_url, DATA_DOCS),
        "What is in this data set": artifact(mlflow_url, EXPLORATION),
        "The decision's evidence": artifact(mlflow_url, EVIDENCE),
    }
    lines = [f"- [{words}]({url})" for words, url in places.items()]
    create_markdown_artifact(key="links", markdown="\n".join(lines), description="Where to read on.")


def link(mlflow_url: str) -> None:
    """Link to the MLflow page of this run, from its start on."""
    words = f"[This run in MLflow]({mlflow_url})"
    create_markdown_artifact(key="mlflow", markdown=words, description=words)


def _in_words(audits: Sequence[ShiftAudit]) -> str:
    return " ".join(sentence for audit in audits for sentence in sentences(audit))


def _interval(item: Interval | None) -> str:
    return f"{item.value:.3f} ({item.low:.3f} to {item.high:.3f})" if item else "too few patients"


def _version(decision: Decision, tracker: Tracker) -> str:
    return tracker.registry.version_url(decision.registered_model, decision.version)


def _plain(row: CandidateRow) -> dict[str, object]:
    return {
        "candidate": row.name,
        "validation AUC": row.validation_auc,
        "selection score": "not measured" if row.unmeasured else row.selection_score,
        "test AUC": row.test_auc and format(row.test_auc, ".4f"),
        "sensitivity": row.sensitivity and round(row.sensitivity.value, 3),
        "specificity": row.specificity and round(row.specificity.value, 3),
        "minutes": row.minutes and round(row.minutes, 1),
        "failed because": row.reason,
    }
