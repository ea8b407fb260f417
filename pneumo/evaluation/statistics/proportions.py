"""Intervals of shares, such as sensitivity, that have a width even if all images are hits, or none."""

import numpy as np
from numpy.typing import ArrayLike

from pneumo.errors import DataError
from pneumo.evaluation.statistics.metrics import LEVEL
from pneumo.records.base import Interval


def share_interval(hits: ArrayLike, among: ArrayLike, patients: ArrayLike) -> Interval:
    """Share of `hits` among the images marked in `among` (all three (n,)), with its 95 % interval over patients.

    Clopper and Pearson's (1934) interval at the effective number of images: Korn and Graubard, Survey Methodology 24
    (1998). With one image per patient it is Clopper and Pearson's own.

    Raises:
        DataError: no image is marked.
    """
    from scipy.stats import beta

    among = np.asarray(among, bool)
    if not among.any():
        raise DataError(f"Expected images to take a share of, got none among {len(among)}: add some of that class.")
    codes = np.unique(np.asarray(patients)[among], return_inverse=True)[1]
    images, found = np.bincount(codes), np.bincount(codes, weights=np.asarray(hits, bool)[among])
    share, size = float(found.sum() / images.sum()), effective_size(found, images)
    part, rest, tail = size * share, size * (1 - share), (1 - LEVEL) / 2
    low = float(beta.ppf(tail, part, rest + 1)) if part else 0.0
    high = float(beta.ppf(1 - tail, part + 1, rest)) if rest else 1.0
    return Interval(value=share, low=low, high=high)


def effective_size(hits: ArrayLike, images: ArrayLike) -> float:
    """Number of independent images that tell as much as those of the patients; at most the number of images.

    It is the number of images over the design effect, with Korn and Graubard's correction for few patients. If all or
    none are hits, the design effect cannot be estimated, and each patient counts as one image.

    Args:
        hits: of each patient, (patients,).
        images: of each patient, (patients,).
    """
    from scipy.stats import t

    hits, images = np.asarray(hits, float), np.asarray(images, float)
    patients, count = len(images), images.sum()
    share = hits.sum() / count
    if patients == 1 or share in (0, 1):
        return float(patients)
    variance = patients / (patients - 1) * float(((hits - share * images) ** 2).sum()) / count**2
    independent = share * (1 - share) / (count - 1)
    few = (t.ppf((1 + LEVEL) / 2, count - 1) / t.ppf((1 + LEVEL) / 2, patients - 1)) ** 2
    return float(min(count, few * count * independent / variance)) if variance else float(count)
