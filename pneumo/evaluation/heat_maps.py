"""Sheets of class activation maps: for each class the surest hits and the worst errors."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.serving.overlay import overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TILES = 5


def pick(rows: pd.DataFrame, label: str, count: int = TILES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The surest hits and the worst errors of a class, the most certain first; there may be no errors."""
    mine = rows[rows["label"] == label].sort_values("probability", ascending=label == "NORMAL", kind="stable")
    hit = mine["called"] == (label == "PNEUMONIA")
    return mine[hit].head(count), mine[~hit].iloc[::-1].head(count)


def sheet(label: str, hits: pd.DataFrame, errors: pd.DataFrame, pictures: dict[int, NDArray[np.uint8]]) -> "Figure":
    """The sheet of a class, hits above and errors below; `pictures` holds the overlays by the row's position."""
    from matplotlib.figure import Figure

    rows = [(name, chosen) for name, chosen in (("surest hits", hits), ("worst errors", errors)) if not chosen.empty]
    figure = Figure(figsize=(2.3 * TILES, 2.65 * len(rows) + 0.4), layout="constrained")
    missing = "" if len(rows) == 2 else f"; no {'hits' if hits.empty else 'errors'}"
    figure.suptitle(f"{label}{missing}: red speaks for pneumonia, blue against it")
    for axes_row, (name, chosen) in zip(figure.subplots(len(rows), TILES, squeeze=False), rows, strict=True):
        for axes in axes_row:
            axes.set(xticks=(), yticks=())
            axes.spines[:].set_visible(False)
        axes_row[0].set_ylabel(name)
        tiles = zip(axes_row, chosen["position"], chosen["path"], chosen["probability"], strict=False)
        for axes, position, path, probability in tiles:
            axes.imshow(pictures[position])
            axes.set_title(f"{PurePosixPath(path).stem[:30]}\np = {probability:.3f}", fontsize=7)
    return figure


def draw(images: NDArray[np.uint8], maps: NDArray[np.float32], positions: list[int]) -> dict[int, NDArray[np.uint8]]:
    """Overlays uint8 (size, size, 3) by position."""
    pairs = zip(positions, images, maps, strict=True)
    return {position: overlay(image, heat) for position, image, heat in pairs}
