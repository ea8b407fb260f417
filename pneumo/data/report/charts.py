"""Charts of the exploration report; each is a PNG as a data URL, so that the page holds it."""

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"NORMAL": "#3b76af", "PNEUMONIA": "#c65b3c", "bacteria": "#c65b3c", "virus": "#e3a857", "none": "#8f4a7f"}
SPLITS = ("train", "validation", "test")


def counts_chart(manifest: pd.DataFrame) -> str:
    """Number of images by split, class and, for pneumonia, subtype."""
    figure, (axes,) = _figure(1, 2.2)
    kinds = manifest["label"].where(manifest["label"] == "NORMAL", manifest["subtype"])
    table = pd.crosstab(manifest["split"], kinds)
    table = table.reindex([name for name in SPLITS if name in table.index])
    left = np.zeros(len(table))
    for kind in [name for name in ("NORMAL", "bacteria", "virus", "none") if name in table]:
        values = table[kind].to_numpy(dtype=float)
        name = {"NORMAL": "normal", "none": "pneumonia"}.get(kind, f"pneumonia, {kind}")
        bars = axes.barh(table.index, values, left=left, color=COLOURS[kind], label=name)
        wide = [f"{int(value):,}" if value > 0.033 * table.to_numpy().sum(axis=1).max() else "" for value in values]
        axes.bar_label(
            bars, labels=wide, label_type="center", color="black" if kind == "virus" else "white", fontsize=8
        )
        left += values
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.25), frameon=False, fontsize=9)
    return _png(figure)


def patients_chart(manifest: pd.DataFrame) -> str:
    """How many patients have 1, 2, 3 ... images, by class."""
    figure, (axes,) = _figure(1, 2.6)
    most = min(8, int(manifest["patient"].value_counts().max()))
    for offset, (label, rows) in zip((-0.2, 0.2), manifest.groupby("label"), strict=False):
        images = rows.groupby("patient").size().clip(upper=most)
        numbers = [int((images == number).sum()) for number in range(1, most + 1)]
        colour, name = COLOURS[str(label)], str(label).lower()
        axes.bar(np.arange(1, most + 1) + offset, numbers, width=0.4, color=colour, label=name)
    axes.set_xticks(range(1, most + 1), [*map(str, range(1, most)), f"{most}+" if most == 8 else str(most)])
    axes.set(xlabel="images of one patient", ylabel="patients")
    axes.legend(frameon=False)
    return _png(figure)


def intensity_chart(manifest: pd.DataFrame) -> str:
    """Mean intensity histogram of each class, with a band for the middle 80 % of images."""
    figure, (axes,) = _figure(1, 2.8)
    for label, rows in manifest.groupby("label"):
        shares = np.stack(rows["histogram"].tolist()) * 100
        grays = (np.arange(shares.shape[1]) + 0.5) * 256 / shares.shape[1]
        low, high = np.quantile(shares, (0.1, 0.9), axis=0)
        axes.fill_between(grays, low, high, color=COLOURS[str(label)], alpha=0.2, linewidth=0)
        axes.plot(grays, shares.mean(axis=0), color=COLOURS[str(label)], label=str(label).lower())
    axes.set(xlabel="gray value (0 black, 255 white)", ylabel="share of the picture, %", xlim=(0, 255), ylim=(0, None))
    axes.legend(frameon=False)
    return _png(figure)


def size_chart(manifest: pd.DataFrame) -> str:
    """Width against height, and the aspect ratio, by class."""
    figure, (left, right) = _figure(2, 3.0)
    edges = np.linspace(0.5, 2.5, 41)
    dot = min(16.0, max(4.0, 4000 / len(manifest)))  # square markers
    for label, rows in manifest.groupby("label"):
        colour, name = COLOURS[str(label)], str(label).lower()
        left.scatter(rows["width"], rows["height"], s=dot, alpha=0.5, color=colour, label=name, linewidths=0)
        aspect = np.clip(rows["width"] / rows["height"], edges[0], edges[-1])
        right.hist(aspect, bins=edges.tolist(), weights=np.full(len(rows), 100 / len(rows)), alpha=0.6, color=colour)
    left.set(xlabel="width, pixels", ylabel="height, pixels", xlim=(0, None), ylim=(0, None))
    left.legend(frameon=False, markerscale=3)
    right.set(xlabel="width / height", ylabel="images of the class, %")
    return _png(figure)


def means_chart(normal: NDArray[np.float64], pneumonia: NDArray[np.float64]) -> str:
    """Mean picture of each class, and pneumonia minus normal; arguments are gray values (n, n)."""
    figure, panels = _figure(3, 2.9)
    difference = pneumonia - normal
    limit = max(1.0, float(np.abs(difference).max()))
    for axes, picture, title in zip(panels, (normal, pneumonia), ("mean of normal", "mean of pneumonia"), strict=False):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10)
    shown = panels[2].imshow(difference, cmap="RdBu_r", vmin=-limit, vmax=limit)
    panels[2].set_title("pneumonia minus normal", fontsize=10)
    figure.colorbar(shown, ax=panels[2], shrink=0.8, label="gray values")
    for axes in panels:
        axes.set_axis_off()
    return _png(figure)


def _figure(columns: int, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure without pyplot, which would touch global state and need a display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), dpi=110, layout="constrained")
    axes = [figure.add_subplot(1, columns, number + 1) for number in range(columns)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: "Figure") -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return data_address(buffer.getvalue(), "image/png")


def data_address(content: bytes, kind: str) -> str:
    """Bytes as a data URL, which needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
