"""The model card: what a version is for and not for, in plain language, as Markdown and as an HTML page."""

import base64
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from pneumo.evaluation import figures
from pneumo.evaluation.calibration import probability
from pneumo.registry.contest import test_rows
from pneumo.stages import LABELS, DatasetVersion, Decision, Evaluation

INTERVALS = {
    "ROC AUC": "auc",
    "PR AUC": "pr_auc",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive predictive value": "ppv",
    "negative predictive value": "npv",
    "accuracy": "accuracy",
}
PLAIN = {
    "Brier score": "brier",
    "calibration error": "calibration_error",
    "calibration slope (1 is right)": "calibration_slope",
    "share of pneumonia": "prevalence",
}
WORDS = {
    "purpose": "It estimates how likely a frontal chest X-ray shows pneumonia. It is for research and teaching, and "
    "for checking data and methods.",
    "not_for": "diagnosis, triage or any decision about a patient; side views, CT or photographs of screens; "
    "finding anything other than pneumonia.",
    "limits": (
        "It knows the hospital and the patients of its training data. Elsewhere it can fall to chance; "
        "measure it on your own labelled images before you believe a number.",
        "A normal result does not mean healthy: other diseases were not among its labels.",
        "Labels come from the data set and contain errors; they were not read again.",
        "Predictive values hold for the share of pneumonia in the test images and change with it.",
    ),
}


class Card(NamedTuple):
    """The same card twice; `markdown` fits a version's description."""

    markdown: str
    html: str


def short(evaluation: Evaluation, data: DatasetVersion) -> str:
    """A version's description until its card is written."""
    kind = "Synthetic: drawn images. " if data.synthetic else ""
    return f"{kind}{evaluation.name} on {data.source}, under evaluation. Not a medical device."


def write(evaluation: Evaluation, data: DatasetVersion, decision: Decision, uri: str) -> Card:
    """The card of a version that was decided on; `uri`: where the registry is."""
    from jinja2 import Environment, PackageLoader, select_autoescape

    facts = {
        "evaluation": evaluation,
        "data": data,
        "decision": decision,
        "uri": uri,
        "words": WORDS,
        "labels": LABELS,
        "facts": {name: f"{evaluation.metrics.get(f'test_{name}', 0):.0f}" for name in ("images", "patients")},
        "numbers": list(_numbers(evaluation.metrics)),
        "slices": _slices(evaluation),
        "shortcuts": _areas(evaluation.metrics, "shortcut_"),
        "external": _areas(evaluation.metrics, "external_"),
        "calibration": _calibration(evaluation),
    }
    # Markdown is shown by MLflow, which escapes it itself.
    pages = Environment(loader=PackageLoader("pneumo.registry"), autoescape=select_autoescape(("html.j2",)))
    return Card(*(pages.get_template(f"card.{kind}.j2").render(facts) for kind in ("md", "html")))


def _numbers(metrics: dict[str, float]) -> Iterator[dict[str, str]]:
    for shown, name in INTERVALS.items():
        if f"test_{name}" in metrics:
            low, high = metrics[f"test_{name}_low"], metrics[f"test_{name}_high"]
            yield {"name": shown, "value": f"{metrics[f'test_{name}']:.3f}", "interval": f"{low:.3f} to {high:.3f}"}
    for shown, name in PLAIN.items():
        if f"test_{name}" in metrics:
            yield {"name": shown, "value": f"{metrics[f'test_{name}']:.3f}", "interval": ""}


def _slices(evaluation: Evaluation) -> list[dict[str, Any]]:
    measured = {name: item for name, item in evaluation.slices.items() if "auc" in item}
    return [
        {
            "name": name,
            "images": f"{item['images']:.0f}",
            "auc": f"{item['auc']:.3f}",
            "interval": f"{item['auc_low']:.3f} to {item['auc_high']:.3f}",
        }
        for name, item in sorted(measured.items(), key=lambda pair: pair[1]["auc"])
    ]


def _areas(metrics: dict[str, float], prefix: str) -> list[dict[str, str]]:
    return [
        {"name": name.removeprefix(prefix).removesuffix("_auc").replace("_", " "), "auc": f"{value:.3f}"}
        for name, value in metrics.items()
        if name.startswith(prefix) and name.endswith("_auc")
    ]


def _calibration(evaluation: Evaluation) -> str:
    """The reliability figure as base64 PNG."""
    rows = test_rows(evaluation)
    scores = {"this version": probability(rows["logit"].to_numpy(), evaluation.temperature)}
    buffer = io.BytesIO()
    figures.reliability((rows["label"] == LABELS[1]).to_numpy(), scores).savefig(buffer, dpi=90)
    return base64.b64encode(buffer.getvalue()).decode()
