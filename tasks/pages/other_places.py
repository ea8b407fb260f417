"""Pages on images of other places: external validation, acceptance tests, shift audits."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from pneumo.data.quality.two_sample_test import excess, sentences
from pneumo.records.base import Interval
from pneumo.records.data import ShiftAudit
from pneumo.records.model import External
from pneumo.registry.acceptance.outcome import Acceptance, left_out_in_words, size_in_words
from tasks.pages.keys import key


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
    create_table_artifact(key="shift-audit", table=rows, description=in_words(audits))


def in_words(audits: Sequence[ShiftAudit]) -> str:
    """What shift audits found, in sentences."""
    return " ".join(sentence for audit in audits for sentence in sentences(audit))


def _interval(item: Interval | None) -> str:
    return f"{item.value:.3f} ({item.low:.3f} to {item.high:.3f})" if item else "too few patients"
