"""Does a model look at the lungs? Its AUC on images from which something was removed."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pneumo.evaluation.statistics.metrics import auc_statistic, interval
from pneumo.records.base import Interval, Record

Images = NDArray[np.uint8]
Score = Callable[[Images], NDArray[np.float64]]


class Shortcut(Record):
    """AUC with one change of the images; `warning` is empty, or says what is suspicious."""

    name: str
    auc: Interval
    warning: str


def border_alone(images: Images) -> Images:
    """Keep only the outer eighth of a side, where there are no lungs."""
    edge = images.shape[1] // 8
    changed = images.copy()
    changed[:, edge:-edge, edge:-edge] = 0
    return changed


def lungs_masked(images: Images) -> Images:
    """Black out two ellipses where the lungs lie in a frontal chest X-ray."""
    down, across = _grid(images)
    lungs = [((down - 0.45) / 0.33) ** 2 + ((across - centre) / 0.19) ** 2 <= 1 for centre in (0.29, 0.71)]
    return np.where(lungs[0] | lungs[1], 0, images).astype(np.uint8)


def corners_masked(images: Images) -> Images:
    """Black out the four corners, where side markers and text are."""
    down, across = _grid(images)
    corners = (np.abs(down - 0.5) > 0.3) & (np.abs(across - 0.5) > 0.3)
    return np.where(corners, 0, images).astype(np.uint8)


def marker_removed(images: Images) -> Images:
    """Paint over small bright structures with the gray of their surroundings."""
    from scipy.ndimage import maximum_filter, median_filter

    size = max(3, images.shape[1] // 16)
    around = np.stack([median_filter(image[::2, ::2], size // 2 + 1) for image in images])
    around = around.repeat(2, axis=1).repeat(2, axis=2)[:, : images.shape[1], : images.shape[2]]
    marker = (images > 200) & (images.astype(np.int16) - around > 60)
    return np.where(maximum_filter(marker, (1, 5, 5)), around, images).astype(np.uint8)


def forced_gray(images: Images) -> Images:
    """Change nothing: decoding makes every image gray, so the colour mode cannot give anything away."""
    return images


Rule = tuple[Callable[[Images], Images], Literal["above", "drop"], float]
SHORTCUTS: dict[str, Rule] = {
    # An AUC above the limit shows that something outside the lungs gives away the label.
    "border alone": (border_alone, "above", 0.70),
    "lungs masked": (lungs_masked, "above", 0.80),
    # A drop by more than the limit shows that the model relies on what was removed.
    "corners masked": (corners_masked, "drop", 0.03),
    "marker removed": (marker_removed, "drop", 0.03),
    "forced gray": (forced_gray, "drop", 0.0),
}


def try_shortcuts(
    images: Images, scores: ArrayLike, labels: ArrayLike, patients: ArrayLike, score: Score
) -> tuple[Shortcut, ...]:
    """Score changed copies of test images; the first row is of the images as they are.

    Args:
        images: uint8 (n, size, size), as the model takes them.
        scores: scores of the unchanged images, (n,).
        labels: bool (n,), true for pneumonia.
        patients: the patient of each image, (n,).
        score: gives the scores (n,) of changed images.
    """
    plain = interval(auc_statistic(labels, scores), patients, resamples=500)
    rows = [Shortcut(name="as it is", auc=plain, warning="")]
    for name, (change, kind, limit) in SHORTCUTS.items():
        changed = change(images)
        same = changed is images
        area = plain if same else interval(auc_statistic(labels, score(changed)), patients, resamples=500)
        rows.append(Shortcut(name=name, auc=area, warning=_warning(name, kind, limit, area.value, plain.value)))
    return tuple(rows)


def _warning(name: str, kind: str, limit: float, value: float, plain: float) -> str:
    if kind == "above" and value > limit:
        return (
            f"AUC {value:.3f} with {name}, expected at most {limit:.2f}: something outside the lungs tells the label."
        )
    if kind == "drop" and plain - value > limit:
        return f"AUC falls from {plain:.3f} to {value:.3f} with {name}: the model relies on what was removed."
    return ""


def _grid(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column of every pixel in 0..1, each (size, size)."""
    place = (np.arange(images.shape[1]) + 0.5) / images.shape[1]
    down, across = np.meshgrid(place, place, indexing="ij")
    return down, across
