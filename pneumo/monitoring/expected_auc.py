"""The ROC AUC that is to be expected without labels, if probabilities are calibrated.

Confidence-based performance estimation (CBPE; Bialek et al., Estimating Model Performance Under Covariate Shift Without
Labels, NeurIPS 2025, arXiv:2401.08348): an image with probability p counts as p images with pneumonia and 1 - p
without. It cannot see that the probabilities themselves have become wrong.
"""

from typing import TYPE_CHECKING

import numpy as np

from pneumo.records.base import Interval, Record

if TYPE_CHECKING:
    import pandas as pd

    from pneumo.evaluation.statistics.metrics import Statistic

FEWEST = 100  # images
MOST = 10_000  # newest images that are used
USUAL = 0.01  # share of validation images that are out-of-distribution, as their limit is made


class Estimate(Record):
    """The expected ROC AUC on so many images, with the 95 % interval of their sampling; or why it is withheld."""

    images: int
    auc: Interval | None = None
    withheld: str = ""


def estimated_auc(rows: "pd.DataFrame", usual: float, rise: float) -> Estimate:
    """The expected AUC of a version's answers, each image once.

    Args:
        rows: with probability and out_of_distribution.
        usual: share of out-of-distribution images before.
        rise: of that share, beyond which probabilities are no longer trusted.
    """
    newest = rows.tail(MOST)
    found, share = Estimate(images=len(newest)), float(newest["out_of_distribution"].mean()) if len(newest) else 0.0
    if len(newest) < FEWEST:
        return found.model_copy(update={"withheld": f"{len(newest)} images were answered, {FEWEST} are needed"})
    if share - usual > rise:
        words = f"{share:.0%} of the images are out-of-distribution, {usual:.0%} were: probabilities mean little"
        return found.model_copy(update={"withheld": words})
    if newest["probability"].isin([0, 1]).all():
        return found.model_copy(update={"withheld": "every probability is 0 or 1, which no calibrated one is"})
    return found.model_copy(update={"auc": expected_auc(newest["probability"].to_numpy(float))})


def expected_auc(probabilities: "np.typing.NDArray[np.float64]") -> Interval:
    """Expected AUC of calibrated probabilities (n,), each image weighted p as ill and 1 - p as healthy.

    Raises:
        DataError: all are 0, or all are 1.
    """
    from pneumo.evaluation.statistics.metrics import interval

    return interval(_statistic(probabilities), np.arange(len(probabilities)))


def point_estimate(probabilities: "np.typing.NDArray[np.float64]") -> float:
    """The same without its interval."""
    return float(_statistic(probabilities)(np.ones((1, len(probabilities))))[0])


def _statistic(probabilities: "np.typing.NDArray[np.float64]") -> "Statistic":
    """Expected AUC by weights of the images, (resamples, n)."""
    from pneumo.evaluation.statistics.metrics import auc_statistic

    count = len(probabilities)
    twice = auc_statistic(np.arange(2 * count) < count, np.tile(probabilities, 2))
    return lambda weights: twice(np.hstack([weights * probabilities, weights * (1 - probabilities)]))
