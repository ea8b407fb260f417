"""Outcome of an acceptance test: figures, gates, and sentences on what follows from them."""

from collections.abc import Sequence

from pneumo.evaluation.external.acceptance_test import SetFigures
from pneumo.evaluation.statistics.sample_size import Need
from pneumo.records.base import Interval, Record
from pneumo.records.decision import PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import gates
from pneumo.settings.promotion import Promotion

# Gates that can be measured at a place; latency and size are the same everywhere.
AT_A_PLACE = (
    "minimum_auc",
    "minimum_sensitivity",
    "minimum_specificity",
    "maximum_calibration_error",
    "maximum_slice_drop",
)
NO_POINT_MENDS = ("minimum_auc", "maximum_slice_drop")


class Acceptance(Record):
    """How a version does at a place.

    `images` judged and `calibrated_on` fitted, both as numbers by class. `before` is at the version's own operating
    point, `after` at the new one if there is one; then `version` is its number, with `alias` if it was accepted.
    `shift` has a sentence for each class on whether its images can be told from the training images. `rows` are the
    gates at the newer operating point, `uncertain` the measures whose interval contains their limit.
    """

    name: str
    source: str
    model: str
    candidate: str
    images: dict[str, int]
    patients: int
    unreadable: int
    left_out: int
    calibrated_on: dict[str, int]
    prevalence: float | None
    out_of_distribution: float
    home_auc: Interval
    home_sensitivity: Interval
    home_specificity: Interval
    home_calibration_error: float | None
    before: SetFigures
    after: SetFigures | None
    needs: tuple[Need, ...]
    rows: tuple[PolicyRow, ...]
    uncertain: tuple[str, ...]
    generalises: bool
    verdict: str
    shift: tuple[str, ...]
    accepted: bool
    reason: str
    advice: str
    version: str | None
    alias: str | None
    run_url: str

    @property
    def uri(self) -> str:
        """Address of the version that was accepted or not."""
        return f"{self.model.rpartition('/')[0]}/{self.version}" if self.version else self.model


def gate_rows(evaluation: Evaluation, judged: SetFigures, policy: Promotion) -> list[PolicyRow]:
    """The gates of promotion, on the figures at the place."""
    there = evaluation.model_copy(
        update={
            "test_auc": judged.auc,
            "sensitivity": judged.sensitivity,
            "specificity": judged.specificity,
            "metrics": evaluation.metrics | {f"test_{name}": value for name, value in judged.metrics.items()},
            "slices": judged.slices,
        }
    )
    setting = {gate.name: gate.setting for gate in gates.GATES}
    return [row for row in gates.figure_rows(there, policy) if setting[row.name] in AT_A_PLACE]


def uncertain(judged: SetFigures, policy: Promotion) -> tuple[str, ...]:
    """Measures whose 95 % interval contains their limit: another set of this size could give another answer."""
    asked = {
        "ROC AUC": (judged.auc, policy.minimum_auc),
        "sensitivity": (judged.sensitivity, policy.minimum_sensitivity),
        "specificity": (judged.specificity, policy.minimum_specificity),
        "calibration error": (judged.calibration_error, policy.maximum_calibration_error),
    }
    return tuple(name for name, (value, limit) in asked.items() if value.low < limit < value.high)


def reason(name: str, rows: Sequence[PolicyRow]) -> str:
    """Whether it is accepted, in a sentence that names what decided."""
    failed = [f"{row.name} is {row.value} where {row.limit} is required" for row in rows if not row.passed]
    if failed:
        return f"Not accepted at {name}: {'; '.join(failed)}."
    return f"Accepted at {name}: all {len(rows)} limits of mlflow.yaml that can be measured there hold."


def advice(rows: Sequence[PolicyRow], calibrated: bool) -> str:
    """What to do about the gates that do not hold; empty if all do."""
    setting = {gate.name: gate.setting for gate in gates.GATES}
    failed = [setting[row.name] for row in rows if not row.passed]
    if not failed:
        return ""
    if any(name in NO_POINT_MENDS for name in failed):
        return "No operating point can repair this: train again with labelled images of the place, or try another."
    if calibrated:
        return "A new operating point did not repair this: train again with labelled images of the place."
    return "Run it again with --calibrate 100: an operating point fitted on that many of these images may repair this."


def left_out_in_words(found: Acceptance) -> str:
    """Which images were left out, and why; empty if none were."""
    known = f"{found.left_out} images are left out: their patients are in this version's own data set."
    unreadable = f"{found.unreadable} unreadable images are left out."
    return " ".join([known] * bool(found.left_out) + [unreadable] * bool(found.unreadable))


def size_in_words(needs: Sequence[Need]) -> str:
    """Whether the set is large enough, and if not, how large it must be."""
    short = [
        f"{need.measure} takes {_patients(need)} (now within {need.gives:.2f})" for need in needs if not need.enough
    ]
    wanted = f"within {needs[0].wanted:g}"
    if not short:
        return f"Large enough to know ROC AUC, sensitivity and specificity {wanted}."
    return f"Too small to know every figure {wanted}: {'; '.join(short)}."


def _patients(need: Need) -> str:
    parts = [f"{count} {name}" for name, count in (("NORMAL", need.normal), ("PNEUMONIA", need.pneumonia)) if count]
    return f"{' and '.join(parts)} patients"
