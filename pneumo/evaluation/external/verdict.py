"""What is reported of every external set: its name, whether the model generalises there, its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.errors import DataError
from pneumo.evaluation import figures
from pneumo.evaluation.measures import is_pneumonia
from pneumo.records.base import Interval

TEST = "test"  # what the data set's own test images are called
LARGEST_LOSS = 0.05  # largest loss of AUC that still counts as generalising; two hospitals usually differ by more


def set_name(source: str) -> str:
    """A short name of a source for pages and metrics: its last part, in characters that MLflow accepts.

    A folder "test", such as Kaggle's, is not the data set's own test images: it goes by the folder above as well.
    """
    *_, above, last = ("", *source.rstrip("/").split("/"))
    name = f"{above} {last}".strip() if last == TEST else last
    return "".join(sign if sign.isalnum() or sign in "_-. " else "_" for sign in name)


def require_different_names(sources: Sequence[str]) -> None:
    """Refuse external sets of one name: figures, pages and sentences of one would stand for those of the other.

    Raises:
        DataError: two sets have the same name, or one that of the data set's own test images.
    """
    names = [set_name(source) for source in sources]
    taken = [source for source, name in zip(sources, names, strict=True) if name == TEST or names.count(name) > 1]
    if taken:
        raise DataError(
            "Expected external sets with different last names, since their figures are kept by these, got"
            f" {', '.join(taken)}: rename a folder."
        )


def generalises(there: Interval, home: Interval) -> bool:
    """Whether an AUC on an external set is at most `LARGEST_LOSS` below the test AUC at home."""
    return home.value - there.value <= LARGEST_LOSS


def verdict(there: Interval, home: Interval) -> str:
    """Whether the model generalises, in a sentence with both AUCs."""
    figures_text = f"AUC {there:.3f}, {home.value:.3f} at home"
    return f"{'Generalises' if generalises(there, home) else 'Does not generalise'}: {figures_text}."


def draw(folder: Path, rows: pd.DataFrame, area: Interval, curves: Mapping[str, NDArray[np.float64]]) -> None:
    """Write roc.png, reliability.png and confusion.png of scored rows (label, patient, probability, called).

    Args:
        folder: where; it must exist.
        rows: scored images.
        area: their ROC AUC.
        curves: probabilities, 0 to 1 (n,), by the name of their line in the reliability diagram.
    """
    labels, called = is_pneumonia(rows), rows["called"].to_numpy(bool)
    scores = rows["probability"].to_numpy(float)
    drawn = {
        "roc": figures.roc(labels, scores, rows["patient"].to_numpy(), area, called),
        "reliability": figures.reliability(labels, dict(curves)),
        "confusion": figures.confusion(labels, called),
    }
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.png")
