"""What the registered model does with its input: from cells of any accepted kind to a table, a row for each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pneumo.serving.bundle.scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd

CHUNK = 256  # images at a time, so that memory does not grow with the table


def score_cells(
    bundle: Scorer, cells: Sequence[Any], threshold: float | None = None, uncertain: bool = False
) -> "pd.DataFrame":
    """Table with a row for each cell: probability (NaN if unreadable), label, error, out_of_distribution.

    With `uncertain` a column of that name says whether another label is possible; None if unreadable.
    """
    import numpy as np
    import pandas as pd

    probability = np.full(len(cells), np.nan)
    label = np.full(len(cells), None, dtype=object)
    doubtful = np.full(len(cells), None, dtype=object)
    far = np.zeros(len(cells), dtype=bool)
    errors: list[str | None] = []
    for start in range(0, len(cells), CHUNK):
        scores, found, failed = bundle.answer(cells[start : start + CHUNK], first=start)
        rows = found + start
        far[rows] = scores.out_of_distribution
        answered = np.isfinite(scores.probability)  # what is no number is below every threshold, which is not normal
        for row in found[~answered]:
            failed[row] = f"Expected a probability of row {row + start}, but the model gives no number: do not use it."
        errors += failed
        probability[rows[answered]] = scores.probability[answered]
        label[rows[answered]] = bundle.label(scores.probability[answered], threshold)
        doubtful[rows[answered]] = bundle.uncertain(scores.probability[answered], threshold)
    # An explicit object type keeps None; pandas would make it NaN, which is not JSON.
    texts = {"label": pd.Series(label, dtype=object), "error": pd.Series(errors, dtype=object)}
    asked = {"uncertain": pd.Series(doubtful, dtype=object)} if uncertain else {}
    return pd.DataFrame({"probability": probability, **texts, "out_of_distribution": far, **asked})
