"""The gates between a challenger and the champion's place: one row each, from figures alone."""

from collections.abc import Callable
from dataclasses import dataclass

from pneumo.evaluation.comparison import Comparison
from pneumo.settings import Promotion
from pneumo.stages import Evaluation, PolicyRow

Measure = Callable[[Evaluation], float | None]


@dataclass(frozen=True)
class Gate:
    """A limit of mlflow.yaml on one measured number; `least`: the number must not be below it, else not above."""

    name: str
    setting: str
    least: bool
    measure: Measure
    digits: str = ".3f"


def worst_slice(evaluation: Evaluation) -> tuple[str, float] | None:
    """The slice whose ROC AUC lies farthest below that of all test images, and how far; None without slices."""
    drops = {
        name: evaluation.test_auc.value - measures["auc"]
        for name, measures in evaluation.slices.items()
        if "auc" in measures
    }
    return max(drops.items(), key=lambda item: item[1]) if drops else None


def _slice_drop(evaluation: Evaluation) -> float | None:
    # Too few images for any slice is nothing measured, not a fault of the model.
    worst = worst_slice(evaluation)
    return worst[1] if worst else 0.0


def _number(name: str) -> Measure:
    return lambda evaluation: evaluation.metrics.get(name)


GATES = (
    Gate("ROC AUC", "minimum_auc", True, lambda evaluation: evaluation.test_auc.value, ".4f"),
    Gate("sensitivity", "minimum_sensitivity", True, lambda evaluation: evaluation.sensitivity.value),
    Gate("specificity", "minimum_specificity", True, lambda evaluation: evaluation.specificity.value),
    Gate("calibration error", "maximum_calibration_error", False, _number("test_calibration_error")),
    Gate("drop in the worst slice", "maximum_slice_drop", False, _slice_drop),
    Gate("latency of one image, ms", "maximum_latency_ms", False, _number("latency_ms"), ".0f"),
    Gate("model size, MB", "maximum_model_mb", False, _number("model_mb"), ".1f"),
)


def figure_rows(evaluation: Evaluation, policy: Promotion) -> list[PolicyRow]:
    """A row for every limit in mlflow.yaml; a number that was not measured does not pass."""
    return [_row(gate, evaluation, getattr(policy, gate.setting)) for gate in GATES]


def comparison_row(comparison: Comparison, champion: str, images: int, policy: Promotion) -> PolicyRow:
    """Whether the challenger is better than the champion on the same images, and what a tie does.

    A tie is a paired 95 % interval of the difference, resampled by patient, that contains 0.
    """
    difference = comparison.bootstrap
    if policy.tie == "keep":
        passed, limit = difference.low > 0, f"better than version {champion} (a tie keeps it)"
    else:
        passed, limit = difference.high >= 0, f"not worse than version {champion} (a tie promotes)"
    interval = f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
    value = f"{interval}, DeLong p {comparison.p_value:.3f}, {images} images"
    return PolicyRow(name="ROC AUC against the champion", limit=limit, value=value, passed=passed)


def _row(gate: Gate, evaluation: Evaluation, limit: float) -> PolicyRow:
    value = gate.measure(evaluation)
    sign = "at least" if gate.least else "at most"
    passed = value is not None and (value >= limit if gate.least else value <= limit)
    shown = "not measured" if value is None else format(value, gate.digits)
    if gate.setting == "maximum_latency_ms" and evaluation.vectors:
        shown = f"{shown} (of the linear model alone; what makes the embeddings was not measured)"
    if gate.setting == "maximum_slice_drop":
        worst = worst_slice(evaluation)
        shown = f"{shown} ({worst[0]})" if worst else "no slice is large enough"
    return PolicyRow(name=gate.name, limit=f"{sign} {limit:g}", value=shown, passed=passed)
