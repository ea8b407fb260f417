"""Figures of an evaluation; every function takes arrays and returns a matplotlib figure."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumo.evaluation.statistics.calibration import BINS
from pneumo.evaluation.statistics.metrics import resampled
from pneumo.records.base import LABELS, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
GRID = np.linspace(0, 1, 201)


def roc(labels: Booleans, scores: Floats, patients: NDArray[np.object_], area: Interval, called: Booleans) -> "Figure":
    """ROC curve with its 95 % band over patients and the operating point."""
    from sklearn.metrics import roc_curve

    figure, axes = _square("1 - specificity", "sensitivity")
    false, true, _ = roc_curve(labels, scores)
    curves = _roc_band(labels, scores, patients)
    axes.fill_between(GRID, *np.nanquantile(curves, (0.025, 0.975), axis=0), alpha=0.25, label="95 % of resamples")
    axes.plot(false, true, label=f"AUC {area:.3f}")
    axes.plot([0, 1], [0, 1], ":", color="gray")
    axes.plot(called[~labels].mean(), called[labels].mean(), "o", color="black", label="operating point")
    axes.legend(loc="lower right")
    return figure


def precision_recall(labels: Booleans, scores: Floats, area: Interval) -> "Figure":
    """Precision-recall curve; the dotted line is that of random scores."""
    from sklearn.metrics import precision_recall_curve

    figure, axes = _square("recall (sensitivity)", "precision (PPV)")
    precision, recall, _ = precision_recall_curve(labels, scores)
    axes.step(recall, precision, where="pre", label=f"PR AUC {area:.3f}")
    axes.axhline(labels.mean(), linestyle=":", color="gray")
    axes.legend(loc="lower left")
    return figure


def reliability(labels: Booleans, probabilities: dict[str, Floats]) -> "Figure":
    """Reliability diagram: share of pneumonia over predicted probability, with Wilson's (1927) 95 % intervals.

    One line for each entry, such as before and after calibration; a bin without images has no point. Below it are the
    numbers of images.
    """
    from matplotlib.figure import Figure
    from scipy.stats import binomtest

    figure = Figure(figsize=(5.5, 6.2), layout="constrained")
    axes, counts = figure.subplots(2, height_ratios=(5, 1), sharex=True)
    axes.plot([0, 1], [0, 1], ":", color="gray")
    edges = np.linspace(0, 1, BINS + 1)
    for number, (name, values) in enumerate(probabilities.items()):
        place = np.clip((values * BINS).astype(int), 0, BINS - 1)
        found, sick = np.bincount(place, minlength=BINS), np.bincount(place, weights=labels, minlength=BINS).astype(int)
        filled = np.flatnonzero(found)
        share, mean = sick[filled] / found[filled], np.bincount(place, weights=values)[filled] / found[filled]
        ends = [binomtest(sick[bin], found[bin]).proportion_ci(method="wilson") for bin in filled]
        reach = np.abs(np.array([(end.low, end.high) for end in ends]).T - share)
        axes.errorbar(mean, share, yerr=reach, fmt="o-", capsize=2, elinewidth=1, color=f"C{number}", label=name)
        counts.stairs(found, edges, fill=number == 0, alpha=0.5 if number == 0 else 1, color=f"C{number}")
    axes.set(ylabel="share of pneumonia", xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    axes.legend(loc="lower right")
    counts.set(xlabel="predicted probability", ylabel="images", yscale="log")
    return figure


def confusion(labels: Booleans, called: Booleans) -> "Figure":
    """Confusion matrix at the threshold: counts, and shares of the true class."""
    from sklearn.metrics import confusion_matrix

    figure, axes = _figure("predicted", "true")
    counts = confusion_matrix(labels, called, labels=[False, True])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}\n{shares[row, column]:.1%}", ha="center", va="center", color=color)
    axes.set_xticks((0, 1), LABELS)
    axes.set_yticks((0, 1), LABELS, rotation=90, va="center")
    axes.tick_params(length=0)
    return figure


def selective_accuracy(called: Floats, wrong: Floats, point: tuple[float, float] | None, coverage: float) -> "Figure":
    """Risk-coverage curve as accuracy over the share of images that are called, the surest first.

    Args:
        called: shares of images, (n,); `wrong` is the share of wrong calls among them.
        point: share called and accuracy where uncertain images are left out; None if all are uncertain.
        coverage: of the conformal limits behind the point.
    """
    figure, axes = _figure("share of validation images that are called, the surest first", "accuracy of these calls")
    axes.plot(called, 1 - wrong, label="by distance from the threshold")
    if point:
        axes.plot(*point, "o", color="black", label=f"without the uncertain ones (coverage {coverage:.0%})")
    axes.set(xlim=(0, 1.01))
    axes.legend(loc="lower left")
    return figure


def learning_curves(history: list[dict[str, float]]) -> "Figure":
    """Loss and validation AUC over epochs."""
    figure, axes = _figure("epoch", "training loss")
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["loss"] for row in history], "o-", color="tab:gray")
    other = axes.twinx()
    other.plot(epochs, [row["validation_auc"] for row in history], "o-", color="tab:blue")
    other.set_ylabel("validation AUC", color="tab:blue")
    return figure


def save(figure: "Figure", path: Path) -> Path:
    """Write as PNG."""
    figure.savefig(path, dpi=110)
    return path


def _roc_band(labels: Booleans, scores: Floats, patients: NDArray[np.object_], resamples: int = 500) -> Floats:
    """Sensitivity of every resample at the points of GRID, (resamples, 201)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(-scores[order], append=np.inf) > 0)

    def curve(weights: Floats) -> Floats:
        true, false = (np.cumsum((weights * side)[:, order], axis=1) for side in (labels, ~labels))
        usable = (true[:, -1] > 0) & (false[:, -1] > 0)
        true, false = true[usable] / true[usable, -1:], false[usable] / false[usable, -1:]
        start = np.zeros(1)
        return np.stack(
            [np.interp(GRID, np.r_[start, x[ends]], np.r_[start, y[ends]]) for x, y in zip(false, true, strict=True)]
        )

    return resampled(curve, patients, resamples)


def _square(across: str, up: str) -> tuple["Figure", "Axes"]:
    figure, axes = _figure(across, up)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    return figure, axes


def _figure(across: str, up: str) -> tuple["Figure", "Axes"]:
    # Not by pyplot, which keeps global state and chooses a window system.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes
