"""How many patients a labelled set needs for a measure to be known well enough."""

import math
from statistics import NormalDist

from pneumo.records.base import Record

Z = NormalDist().inv_cdf(0.975)  # normal quantile of a 95 % interval
Z_POWER = NormalDist().inv_cdf(0.8)  # normal quantile of a test that finds what is there four times in five


class Need(Record):
    """Patients of each class needed to know a measure at its limit within `wanted`, and how many there are.

    `gives` is the half-width of the 95 % interval that the set gives at the limit; all in 0 to 1.
    """

    measure: str
    limit: float
    wanted: float
    gives: float
    normal: int
    pneumonia: int
    enough: bool


def share_need(measure: str, limit: float, wanted: float, has: int, pneumonia: bool) -> Need:
    """Need for a sensitivity (among `has` patients with pneumonia) or a specificity (among `has` normal ones).

    n = z^2 p (1 - p) / d^2 (Buderer 1996), with the limit as p and the wanted half-width as d.
    """
    spread = Z * math.sqrt(limit * (1 - limit))
    needed = math.ceil((spread / wanted) ** 2)
    counts = {"normal": 0 if pneumonia else needed, "pneumonia": needed if pneumonia else 0}
    gives = spread / math.sqrt(has)
    return Need(measure=measure, limit=limit, wanted=wanted, gives=gives, enough=has >= needed, **counts)


def area_need(measure: str, limit: float, wanted: float, normal: int, pneumonia: int) -> Need:
    """Need for a ROC AUC, at the set's ratio of normal patients to those with pneumonia.

    Solves z SE = d for the number of patients with pneumonia, with SE by `area_error`.
    """
    ratio, error = normal / pneumonia, wanted / Z
    spread, sick, well = _area_parts(limit)
    linear, constant = sick + ratio * well, spread - sick - well
    square = ratio * error**2
    needed = (linear + math.sqrt(linear**2 + 4 * square * constant)) / (2 * square)
    counts = {"normal": math.ceil(needed * ratio), "pneumonia": math.ceil(needed)}
    enough = normal >= counts["normal"] and pneumonia >= counts["pneumonia"]
    gives = Z * area_error(limit, normal, pneumonia)
    return Need(measure=measure, limit=limit, wanted=wanted, gives=gives, enough=enough, **counts)


def area_error(area: float, normal: int, pneumonia: int) -> float:
    """Standard error of a ROC AUC (Hanley and McNeil 1982, negative exponential approximation)."""
    spread, sick, well = _area_parts(area)
    return math.sqrt((spread + (pneumonia - 1) * sick + (normal - 1) * well) / (normal * pneumonia))


def smallest_difference(area: float, normal: int, pneumonia: int) -> float:
    """How far below `area`, taken as known, a ROC AUC must be for so many patients to show it.

    (1.96 + 0.84) SE, by `area_error` (also Hanley and McNeil 1982): a test at 5 % finds it with a power of 80 %.
    """
    return (Z + Z_POWER) * area_error(area, normal, pneumonia)


def _area_parts(area: float) -> tuple[float, float, float]:
    """A (1 - A), Q1 - A^2 and Q2 - A^2 of Hanley and McNeil."""
    return area * (1 - area), area / (2 - area) - area**2, 2 * area**2 / (1 + area) - area**2
