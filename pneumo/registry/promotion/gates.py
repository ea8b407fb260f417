"""The gates that a challenger must pass to become champion: one row each, from figures alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pneumo.evaluation.statistics.paired_difference import Comparison
from pneumo.records.base import Interval
from pneumo.records.decision import DecisionCount, PolicyRow
from pneumo.records.model import Evaluation
from pneumo.settings.promotion import Promotion

Measure = Callable[[Evaluation], Interval | float | None]
Severity = Literal["refuse", "warn"]
COMPARISON = "ROC AUC against the champion"


@dataclass(frozen=True)
class Gate:
    """A limit in mlflow.yaml on one measured number; with `least` the number must not be below it, else not above it.

    `severity` is what a number beyond the limit does, unless mlflow.yaml says otherwise; `remedy` says what to do.
    """

    name: str
    setting: str
    least: bool
    measure: Measure
    digits: str = ".3f"
    severity: Severity = "refuse"
    remedy: str = ""


def worst_slice(evaluation: Evaluation) -> tuple[str, float] | None:
    """The slice whose ROC AUC is farthest below that of all test images, and by how much; None without slices."""
    drops = {
        name: evaluation.test_auc.value - measures["auc"]
        for name, measures in evaluation.slices.items()
        if "auc" in measures
    }
    return max(drops.items(), key=lambda item: item[1]) if drops else None


def _slice_drop(evaluation: Evaluation) -> float | None:
    # If no slice has enough images, nothing was measured, which is no fault of the model.
    worst = worst_slice(evaluation)
    return worst[1] if worst else 0.0


def _number(name: str) -> Measure:
    return lambda evaluation: evaluation.metrics.get(name)


_PLACE = "`pneumo accept SOURCE --calibrate 100` fits offset, temperature and threshold on labelled images of the place"
GATES = (
    Gate(
        "ROC AUC", "minimum_auc", True, lambda evaluation: evaluation.test_auc, ".4f",
        remedy="train on more images, with more epochs or other backbones; look at the heat maps and the data's gate.",
    ),
    Gate(
        "sensitivity", "minimum_sensitivity", True, lambda evaluation: evaluation.sensitivity,
        remedy=f"raise promotion.target_sensitivity, which costs specificity, or {_PLACE}.",
    ),
    Gate(
        "specificity", "minimum_specificity", True, lambda evaluation: evaluation.specificity,
        remedy=f"lower promotion.target_sensitivity, which costs sensitivity, or {_PLACE}.",
    ),
    Gate(
        "calibration error", "maximum_calibration_error", False, _number("test_calibration_error"),
        severity="warn", remedy=f"do not read its probabilities as such there; {_PLACE}.",
    ),
    Gate(
        "drop in the worst slice", "maximum_slice_drop", False, _slice_drop,
        severity="warn", remedy="do not rely on it for such images; train on more of them.",
    ),
    Gate(
        "latency of one image, ms", "maximum_latency_ms", False, _number("latency_ms"), ".0f",
        remedy="train a smaller backbone or a smaller image size, or no ensemble.",
    ),
    Gate(
        "model size, MB", "maximum_model_mb", False, _number("model_mb"), ".1f",
        remedy="train a smaller backbone, or no ensemble.",
    ),
)  # fmt: skip


def figure_rows(evaluation: Evaluation, policy: Promotion) -> list[PolicyRow]:
    """A row for every limit in mlflow.yaml; what was not measured does not pass."""
    return [_row(gate, evaluation, policy) for gate in GATES]


def comparison_row(
    comparison: Comparison, champion: str, images: int, policy: Promotion, look: DecisionCount
) -> PolicyRow:
    """Whether the challenger is better than the champion on the same images, and what a tie does.

    It is a tie if the paired interval of the difference, resampled by patient, contains 0. On test images that were
    used for too many comparisons no challenger passes.
    """
    difference = comparison.bootstrap
    if policy.tie == "keep":
        passed, limit = difference.low > 0 and not look.spent, f"better than version {champion} (a tie keeps it)"
    else:
        passed, limit = difference.high >= 0, f"not worse than version {champion} (a tie promotes)"
    counted = f", comparison {look.comparison} on these test images" if look.comparison else ""
    value = f"{difference:+.4f} at {comparison.level:.2%}, DeLong p {comparison.p_value:.3f}, {images} images{counted}"
    remedy = "these test images have been used too often, add new ones: see docs/splits.md." if look.spent else ""
    if look.spent:
        limit = f"at most {look.most} comparisons on the same test images"
    return PolicyRow(name=COMPARISON, limit=limit, value=value, passed=passed, remedy=remedy)


def _row(gate: Gate, evaluation: Evaluation, policy: Promotion) -> PolicyRow:
    measured, limit = gate.measure(evaluation), getattr(policy, gate.setting)
    asked = f"{'at least' if gate.least else 'at most'} {limit:g}"
    value = measured.value if isinstance(measured, Interval) else measured
    if isinstance(measured, Interval) and gate.name in policy.judge and policy.judge[gate.name] == "lower_bound":
        # An interval that cannot be estimated has no lower bound, so nothing was measured.
        value, asked = measured.low if measured.estimated else None, f"a lower bound of {asked}"
    passed = value is not None and (value >= limit if gate.least else value <= limit)
    shown = "not measured" if measured is None else format(measured, gate.digits)
    if gate.setting == "maximum_latency_ms" and evaluation.vectors:
        shown = f"{shown} (of the linear model alone; what makes the embeddings was not measured)"
    if gate.setting == "maximum_slice_drop":
        worst = worst_slice(evaluation)
        shown = f"{shown} ({worst[0]})" if worst else "no slice is large enough"
    return PolicyRow(name=gate.name, limit=asked, value=shown, passed=passed)
