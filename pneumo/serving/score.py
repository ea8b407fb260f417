"""Scoring many images: decoded side by side, run in batches, a row per image."""

from typing import TYPE_CHECKING, Any

from pneumo.serving.bundle import Bundle
from pneumo.serving.inputs import read_images

if TYPE_CHECKING:
    import pandas as pd


def score_cells(
    bundle: Bundle, cells: list[Any], threshold: float | None = None, names: list[str] | None = None
) -> "pd.DataFrame":
    """Columns probability, label, error, unlike; one row per cell, in order."""
    import numpy as np
    import pandas as pd

    decoded = read_images(cells, bundle.spec.size, bundle.spec.fit, names)
    probability = np.full(len(cells), np.nan)
    label = np.full(len(cells), None, dtype=object)
    unlike = np.zeros(len(cells), dtype=bool)
    if len(decoded.rows):
        scores = bundle.score(decoded.images)
        probability[decoded.rows] = scores.probability
        label[decoded.rows] = bundle.label(scores.probability, threshold)
        unlike[decoded.rows] = scores.unlike
    columns = {"probability": probability, "label": label, "error": decoded.errors, "unlike": unlike}
    return pd.DataFrame(columns).astype({"label": object, "error": object})
