"""Pages on a data set: the gate's expectations, and its images by split and class."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from pneumo.records.data import DatasetVersion, GateReport
from pneumo.tracking.addresses import artifact
from tasks.pages.links import DATA_DOCS, EXPLORATION


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
