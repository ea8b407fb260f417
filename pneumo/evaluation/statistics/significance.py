"""Significance levels of repeated comparisons on the same test images, so that none promotes by chance."""

from math import pi

TOTAL = 0.05


def significance(comparison: int) -> float:
    """Two-sided level of the comparison with this number (from 1); all infinitely many together spend 0.05.

    Alpha-spending (Foster and Stine, JRSS B 70, 2008) along the series 6 / (pi k)^2, which sums to 1. By Bonferroni's
    inequality the chance of a false promotion in the whole sequence stays below half of 0.05, however similar the
    models are (Tian and Ramdas, Statistical Methods in Medical Research 30, 2021).
    """
    return TOTAL * 6 / (pi * comparison) ** 2
