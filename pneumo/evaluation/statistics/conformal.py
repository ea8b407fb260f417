"""Conformal prediction by class, and how often calls are wrong if only the surest are made."""

import math

import numpy as np
from numpy.typing import NDArray

from pneumo.records.base import Conformal

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
FIGURES = ("coverage_normal", "coverage_pneumonia", "uncertain", "accuracy_where_certain")


def fit_conformal(labels: Booleans, probabilities: Floats, coverage: float) -> Conformal:
    """Limits by which an image's set of labels holds its true one in at least `coverage` of each class.

    Split conformal prediction, class by class (Mondrian; Vovk et al. 2005, section 4.5). The score of a label is one
    less its probability; a label is in the set if its score is at most the ceil((n + 1) * coverage)-th smallest of the
    n validation images of that class (Angelopoulos and Bates 2021, equation 1, section 3.1). A class of too few images
    for that is in every set. It holds for new images from where the validation images are from, and nowhere else.

    Args:
        labels: bool (n,), true for pneumonia.
        probabilities: of pneumonia, 0 to 1, (n,), of images from which the model did not learn.
        coverage: 0 to 1.
    """
    return Conformal(
        coverage=coverage,
        normal_up_to=_limit(probabilities[~labels], coverage),
        pneumonia_from=1 - _limit(1 - probabilities[labels], coverage),
    )


def conformal_figures(
    labels: Booleans, probabilities: Floats, called: Booleans, conformal: Conformal
) -> dict[str, float]:
    """What the limits come to: share of each class whose set holds it, share uncertain, accuracy of the others."""
    normal, ill = conformal.sets(probabilities)
    sure = ~conformal.uncertain(probabilities, called)
    accuracy = {"accuracy_where_certain": float((called == labels)[sure].mean())} if sure.any() else {}
    return {
        "coverage_normal": float(normal[~labels].mean()),
        "coverage_pneumonia": float(ill[labels].mean()),
        "uncertain": float(1 - sure.mean()),
        **accuracy,
    }


def risk_coverage(wrong: Booleans, probabilities: Floats, threshold: float) -> tuple[Floats, Floats]:
    """Shares called and shares of these that are wrong, each (n,), if only the surest 1, 2, ... n images are called.

    An image is the surer the farther its logit is from that of the threshold (El-Yaniv and Wiener 2010).
    """
    from scipy.special import logit

    inside = np.clip(probabilities, 1e-12, 1 - 1e-12)
    order = np.argsort(-np.abs(logit(inside) - logit(threshold)), kind="stable")
    numbers = np.arange(1, len(wrong) + 1)
    return numbers / len(wrong), np.cumsum(wrong[order]) / numbers


def _limit(scores: Floats, coverage: float) -> float:
    rank = math.ceil((len(scores) + 1) * coverage)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else 1.0
