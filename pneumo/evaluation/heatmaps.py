"""Sheets of heat maps: per class the surest hits and the worst errors."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.serving.overlay import overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILES = 5


def pick(rows: pd.DataFrame, label: str, count: int = TILES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The surest hits and the worst errors of a class, surest and worst first; there may be no errors."""
    mine = rows[rows["label"] == label].sort_values("probability", ascending=label == "NORMAL", kind="stable")
    hit = mine["called"] == (label == "PNEUMONIA")
    return mine[hit].head(count), mine[~hit].iloc[::-1].head(count)


def sheet(label: str, hits: pd.DataFrame, errors: pd.DataFrame, pictures: dict[int, NDArray[np.uint8]]) -> "Figure":
    """One figure of a class: hits above, errors below; `pictures` has each row's overlay by the row's position."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * TILES, 5.6), layout="constrained")
    figure.suptitle(f"{label}: surest hits above, worst errors below (red speaks for pneumonia, blue against)")
    for axes_row, chosen in zip(figure.subplots(2, TILES), (hits, errors), strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        tiles = zip(axes_row, chosen["position"], chosen["path"], chosen["probability"], strict=False)
        for axes, position, path, probability in tiles:
            axes.imshow(pictures[position])
            axes.set_title(f"{path.rsplit('/', 1)[-1][:26]}\np = {probability:.3f}", fontsize=7)
        if chosen.empty:
            axes_row[0].text(0, 0.5, "none")
    return figure


def draw(images: NDArray[np.uint8], maps: NDArray[np.float32], positions: list[int]) -> dict[int, NDArray[np.uint8]]:
    """Overlays uint8 (size, size, 3) by position."""
    pairs = zip(positions, images, maps, strict=True)
    return {position: overlay(image, heat) for position, image, heat in pairs}
