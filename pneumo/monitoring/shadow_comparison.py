"""A shadow compared with the champion on the images that both scored, in pairs: no difference is due to the images."""

from typing import TYPE_CHECKING

import numpy as np

from pneumo.evaluation.statistics.paired_difference import Comparison
from pneumo.records.base import LABELS, Interval, Record

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MOST = 10_000  # newest images that are compared
RESAMPLES = 2000  # of the AUCs: enough for 95 %, and 10,000 images take seconds


class ShadowComparison(Record):
    """A shadow compared with a champion on `images` that both could read; only the champion could read `unreadable`.

    `agreement` is the share of equal labels. All others are differences, shadow minus champion. `positive` and
    `out_of_distribution` are of the shares called so, on all images. `auc` (its first is the shadow), `sensitivity` and
    `specificity`, of the labels that were given, are on the images with feedback, of which `normal` and `pneumonia` are
    the numbers; with too few of a class they are None, and `withheld` says so. Intervals are 95 %, as if each image
    were of another patient.
    """

    model: str
    version: str
    champion: str
    images: int
    unreadable: int
    agreement: Interval
    positive: Interval
    out_of_distribution: Interval
    normal: int
    pneumonia: int
    auc: Comparison | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    withheld: str = ""


def compare_shadows(pairs: "pd.DataFrame", labels: "pd.Series[str]", fewest: int) -> list[ShadowComparison]:
    """A comparison of each shadow with each champion that served at the same time; none if it could read no image.

    Args:
        pairs: by time, as `pneumo.serving.shadow_log.read` gives them; of each image the newest counts.
        labels: what readers agree on, by image.
        fewest: with fewer images of a class with feedback its figures are withheld.
    """
    keys = ["model", "version", "champion"]
    once = pairs.drop_duplicates([*keys, "image"], keep="last")
    groups = [rows for _, rows in once.groupby(keys, sort=True)]
    return [_compare(rows, labels, fewest) for rows in groups if rows["label"].notna().any()]


def difference(found: ShadowComparison) -> str:
    """What was found, in one sentence without its full stop."""
    words = (
        f"beside version {found.champion} on {found.images} images: {found.agreement.value:.1%} of the labels agree, "
        f"share called PNEUMONIA {found.positive:+.3f}, out-of-distribution {found.out_of_distribution:+.3f}"
    )
    if found.auc is None:
        return f"{words}; {found.withheld}"
    return (
        f"{words}; on {found.normal} NORMAL and {found.pneumonia} PNEUMONIA images with feedback ROC AUC "
        f"{found.auc.bootstrap:+.3f}, sensitivity {found.sensitivity:+.3f}, specificity {found.specificity:+.3f}"
    )


def _compare(rows: "pd.DataFrame", labels: "pd.Series[str]", fewest: int) -> ShadowComparison:
    from pneumo.evaluation.statistics.proportions import share_interval

    read, first = rows[rows["label"].notna()].tail(MOST), rows.iloc[0]
    everything = np.ones(len(read), bool)
    same = (read["label"] == read["champion_label"]).to_numpy(bool)
    found = ShadowComparison(
        model=first["model"],
        version=first["version"],
        champion=first["champion"],
        images=len(read),
        unreadable=int(rows["label"].isna().sum()),
        agreement=share_interval(same, everything, np.arange(len(read))),
        positive=_mean_difference(*_called(read)),
        out_of_distribution=_mean_difference(
            read["out_of_distribution"].to_numpy(bool), read["champion_out_of_distribution"].to_numpy(bool)
        ),
        normal=0,
        pneumonia=0,
    )
    known = read.assign(truth=read["image"].map(labels)).dropna(subset="truth")
    return _with_feedback(found, known, fewest)


def _with_feedback(found: ShadowComparison, known: "pd.DataFrame", fewest: int) -> ShadowComparison:
    from pneumo.evaluation.statistics.paired_difference import compare

    ill = (known["truth"] == LABELS[1]).to_numpy(bool)
    counts = {"normal": int((~ill).sum()), "pneumonia": int(ill.sum())}
    if min(counts.values()) < max(2, fewest):
        few = (
            f"{counts['normal']} NORMAL and {counts['pneumonia']} PNEUMONIA images have feedback, {fewest} of each are"
            " needed"
        )
        return found.model_copy(update={**counts, "withheld": few})
    own, theirs = _called(known)
    scores = [known[name].to_numpy(float) for name in ("probability", "champion_probability")]
    figures = {
        "auc": compare(ill, scores[0], scores[1], np.arange(len(known)), resamples=RESAMPLES),
        "sensitivity": _mean_difference(own[ill], theirs[ill]),
        "specificity": _mean_difference(~own[~ill], ~theirs[~ill]),
    }
    return found.model_copy(update={**counts, **figures})


def _called(rows: "pd.DataFrame") -> "tuple[NDArray[np.bool_], NDArray[np.bool_]]":
    own, theirs = ((rows[name] == LABELS[1]).to_numpy(bool) for name in ("label", "champion_label"))
    return own, theirs


def _mean_difference(own: "NDArray[np.bool_]", theirs: "NDArray[np.bool_]") -> Interval:
    """Difference of two shares of the same images, with the interval of resampled pairs."""
    from pneumo.evaluation.statistics.metrics import interval

    step = own.astype(float) - theirs.astype(float)
    return interval(lambda weights: weights @ step / weights.sum(axis=1), np.arange(len(step)))
