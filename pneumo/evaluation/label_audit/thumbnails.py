"""The pictures of a label audit, in the order of its sheet."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN, ACROSS = 24, 6


def thumbnails(sheet: pd.DataFrame, pictures: NDArray[np.uint8]) -> "Figure":
    """The first rows of a sheet, each with rank, label and probability; the sheet tells the paths.

    Args:
        sheet: rows to show.
        pictures: uint8 (n, size, size), of these rows.
    """
    from matplotlib.figure import Figure

    down = -(-len(sheet) // ACROSS)
    figure = Figure(figsize=(1.9 * ACROSS, 2.2 * down + 0.4), layout="constrained")
    figure.suptitle("Labels to look at, with the out-of-fold probability of pneumonia; ranks as in labels.csv")
    places = list(figure.subplots(down, ACROSS, squeeze=False).flat)
    for axes in places:
        axes.set_axis_off()
    for axes, row, pixels in zip(places, sheet.to_dict("records"), pictures, strict=False):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        scored = "no score" if pd.isna(row["probability"]) else f"p = {row['probability']:.3f}"
        axes.set_title(f"{row['rank']}: {row['label']}\n{scored}", fontsize=8)
    return figure
