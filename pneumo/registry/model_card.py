"""The model card: what a version is for and not for, in plain English, as Markdown and as an HTML page."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pneumo.data.quality.two_sample_test import sentences
from pneumo.records.base import EMBEDDING, IMAGE, LABELS, Interval
from pneumo.records.data import DatasetVersion, ShiftAudit
from pneumo.records.decision import Decision
from pneumo.records.model import Evaluation, External
from pneumo.registry import dossier
from pneumo.tracking.addresses import artifact

NUMBERS = {
    "auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "f1": "F1",
    "accuracy": "accuracy",
    "brier": "Brier score (0 is perfect)",
    "calibration_error": "calibration error (0 is perfect)",
    "calibration_slope": "calibration slope (1 is calibrated, below 1 is overconfident)",
    "prevalence": "share of pneumonia among these images",
}
SLICES = {"bacteria": "bacterial pneumonia and normal", "virus": "viral pneumonia and normal"}
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
EXAMPLES = {
    IMAGE: 'model.predict(pd.DataFrame({"image": [open("xray.jpeg", "rb").read()]}))',
    EMBEDDING: 'model.predict(pd.DataFrame({"embedding": [vector.tolist()]}))  # of the model that made the others',
}
DESCRIPTION, PAGE = "version_description.md.j2", "model_card_page.html.j2"  # in MLflow: of the version; card.html
# Most lines of each kind, so that the Markdown fits a version's description.
LONGEST_REASON, LONGEST_SOURCE, LONGEST_REMEDY = 400, 180, 150
MOST = {"slices": 4, "sets": 3, "warnings": 3, "remedies": 2, "shift": 2}


class Card(NamedTuple):
    """The card in two forms; `markdown` fits a version's description."""

    markdown: str
    html: str


def short(evaluation: Evaluation, data: DatasetVersion) -> str:
    """Description of a version until its card is written."""
    kind = "Synthetic: drawn images. " if data.synthetic else ""
    return f"{kind}{evaluation.name} on {data.source[:LONGEST_SOURCE]}, under evaluation. Not a medical device."


def write(
    evaluation: Evaluation,
    data: DatasetVersion,
    decision: Decision,
    external: Sequence[External],
    uri: str,
    url: str,
    audits: Sequence[ShiftAudit] = (),
) -> Card:
    """Write the card of a version after its decision.

    Args:
        evaluation: its figures.
        data: what it was trained and tested on.
        decision: the gates and their outcome.
        external: its figures on external sets.
        uri: address of the MLflow server.
        url: address of its run's page.
        audits: shift audits of the test images and of the external sets.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    facts = {
        "evaluation": evaluation,
        "data": data,
        "decision": decision,
        "reason": _cut(decision.reason, LONGEST_REASON),
        "remedies": [_cut(remedy, LONGEST_REMEDY) for remedy in decision.remedies],
        "source": _cut(data.source, LONGEST_SOURCE),
        "uri": uri,
        "url": url,
        "dossier": artifact(url, dossier.AT),
        "words": WORDS,
        "example": EXAMPLES[EMBEDDING if evaluation.vectors else IMAGE],
        "labels": LABELS,
        "images": f"{evaluation.metrics.get('test_images', 0):.0f}",
        "patients": f"{evaluation.metrics.get('test_patients', 0):.0f}",
        "numbers": list(numbers_of(evaluation.metrics)),
        "slices": slices_of(evaluation),
        "shortcuts": shortcuts_of(evaluation.metrics),
        "external": external,
        "shift": [sentence for audit in audits for sentence in sentences(audit)],
        "most": MOST,
        "pictures": {name: _picture(evaluation, name) for name in _pictures(evaluation)},
    }
    # Markdown is not escaped here, because MLflow escapes it when it shows it.
    pages = Environment(
        loader=PackageLoader("pneumo.registry"), autoescape=select_autoescape(("html.j2",)), trim_blocks=True
    )
    return Card(*(pages.get_template(name).render(facts) for name in (DESCRIPTION, PAGE)))


def _pictures(evaluation: Evaluation) -> tuple[str, ...]:
    return ("roc", "reliability", "risk_coverage") if evaluation.conformal else ("roc", "reliability")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def numbers_of(metrics: dict[str, float]) -> Iterator[dict[str, Any]]:
    """The figures on test images, each with key, name, value, and interval or None."""
    for name, shown in NUMBERS.items():
        value = metrics.get(f"test_{name}")
        if value is not None:
            low, high = metrics.get(f"test_{name}_low"), metrics.get(f"test_{name}_high")
            found = None if low is None or high is None else Interval(value=value, low=low, high=high)
            yield {"key": name, "name": shown, "value": value, "interval": found}


def slices_of(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Slices of the test images, the worst first, each with name, images, auc, and what difference it shows."""
    measured = [
        {
            "name": _slice_in_words(name),
            "images": f"{item['images']:.0f}",
            "auc": _interval(item),
            "shows": item.get("shows"),
        }
        for name, item in evaluation.slices.items()
        if "auc" in item
    ]
    return sorted(measured, key=lambda row: row["auc"].value)


def _slice_in_words(name: str) -> str:
    kind, _, third = name.rpartition(" ")
    order = {"low": "lowest", "middle": "middle", "high": "highest"}.get(third)
    return SLICES.get(name, f"{kind}, {order} third" if order else name)


def _interval(item: dict[str, float]) -> Interval:
    return Interval(value=item["auc"], low=item["auc_low"], high=item["auc_high"])


def shortcuts_of(metrics: dict[str, float]) -> list[dict[str, Any]]:
    """ROC AUC on test images from which something was removed."""
    names = [name for name in metrics if name.startswith("shortcut_") and name.endswith("_auc")]
    return [{"name": name[len("shortcut_") : -len("_auc")].replace("_", " "), "auc": metrics[name]} for name in names]


def _picture(evaluation: Evaluation, name: str) -> str:
    """A figure of the evaluation, as PNG in base64."""
    return base64.b64encode((evaluation.bundle.with_name("figures") / f"{name}.png").read_bytes()).decode()
