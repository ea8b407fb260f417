"""The figures of a candidate, from its scored test images; each row of `FIGURES` is one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from pneumo.evaluation import figures
from pneumo.evaluation.measures import Measures, is_pneumonia
from pneumo.evaluation.statistics.calibration import probability
from pneumo.evaluation.statistics.conformal import risk_coverage
from pneumo.records.base import Conformal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ScoredImages(NamedTuple):
    """The scored test images of a candidate: bool, bool, float in 0..1 (twice), text, each (n,)."""

    labels: Any
    called: Any
    scores: Any
    uncalibrated: Any
    patients: Any
    measures: Measures


# Each becomes figures/<name>.png in the candidate's MLflow run.
FIGURES: dict[str, Callable[[ScoredImages], "Figure"]] = {
    "roc": lambda on: figures.roc(on.labels, on.scores, on.patients, on.measures.intervals["auc"], on.called),
    "precision_recall": lambda on: figures.precision_recall(on.labels, on.scores, on.measures.intervals["pr_auc"]),
    "reliability": lambda on: figures.reliability(
        on.labels, {"before calibration": on.uncalibrated, "after calibration": on.scores}
    ),
    "confusion": lambda on: figures.confusion(on.labels, on.called),
}


def draw(folder: Path, test: pd.DataFrame, measures: Measures) -> None:
    """Write all figures of scored test images to a folder."""
    shown = ScoredImages(
        labels=is_pneumonia(test),
        called=test["called"].to_numpy(bool),
        scores=test["probability"].to_numpy(float),
        uncalibrated=probability(test["logit"]),
        patients=test["patient"].to_numpy(),
        measures=measures,
    )
    for name, figure in FIGURES.items():
        figures.save(figure(shown), folder / f"{name}.png")


def draw_risk_coverage(folder: Path, validation: pd.DataFrame, threshold: float, conformal: Conformal) -> None:
    """Write the risk-coverage curve of scored validation images."""
    labels, called = is_pneumonia(validation), validation["called"].to_numpy(bool)
    scores = validation["probability"].to_numpy(float)
    curve = risk_coverage(called != labels, scores, threshold)
    sure = ~conformal.uncertain(scores, called)
    point = (float(sure.mean()), float((called == labels)[sure].mean())) if sure.any() else None
    figures.save(figures.selective_accuracy(*curve, point, conformal.coverage), folder / "risk_coverage.png")


def draw_learning(folder: Path, history: Path) -> None:
    """Write the learning curves; an ensemble, or a head on frozen features, has no epochs and gets no figure."""
    epochs = json.loads(history.read_text(encoding="utf-8"))["epochs"] if history.is_file() else []
    if epochs:
        figures.save(figures.learning_curves(epochs), folder / "learning_curves.png")
