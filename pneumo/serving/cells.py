"""Images in any accepted form to a table, a row per image; what the registered model does with its input."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pneumo.serving.bundle import Bundle
from pneumo.serving.inputs import read_images

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 256  # images decoded at a time, so that memory does not grow with the table


def score_cells(bundle: Bundle, cells: Sequence[Any], threshold: float | None = None) -> "pd.DataFrame":
    """Columns probability (NaN where unreadable), label, error (None or a sentence), unlike; a row per cell."""
    import numpy as np
    import pandas as pd

    probability = np.full(len(cells), np.nan)
    label = np.full(len(cells), None, dtype=object)
    unlike = np.zeros(len(cells), dtype=bool)
    errors: list[str | None] = []
    for start in range(0, len(cells), CHUNK):
        decoded = read_images(cells[start : start + CHUNK], bundle.spec.size, bundle.spec.fit, first=start)
        errors += decoded.errors
        if len(decoded.rows):
            scores, rows = bundle.score(decoded.images), decoded.rows + start
            probability[rows], unlike[rows] = scores.probability, scores.unlike
            label[rows] = bundle.label(scores.probability, threshold)
    # An explicit object type keeps None; pandas would make it NaN, which is not JSON.
    texts = {"label": pd.Series(label, dtype=object), "error": pd.Series(errors, dtype=object)}
    return pd.DataFrame({"probability": probability, **texts, "unlike": unlike})
