"""Confident learning: which labels disagree with out-of-fold probabilities beyond doubt."""

import numpy as np
from numpy.typing import NDArray


def doubt(labels: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of the other class less that class's threshold, float (n,); from 0 on a label is suspect.

    The threshold of a class is the mean self-confidence: the mean probability of that class over the images that are
    labelled so (Northcutt, Jiang, Chuang 2021, "Confident Learning", equation 2). It does for a class of which the
    model is seldom sure what a fixed limit could not. With two classes, pruning by rank is sorting by this number.

    Args:
        labels: bool (n,), true for pneumonia, both classes.
        probabilities: of pneumonia, 0 to 1, (n,), of models that did not learn from the image (out-of-fold).
    """
    ill, healthy = float(probabilities[labels].mean()), float(1 - probabilities[~labels].mean())
    return np.where(labels, (1 - probabilities) - healthy, probabilities - ill)
