"""Are two groups of images from one place? A classifier two-sample test (Lopez-Paz and Oquab 2017), class by class.

If a linear model can tell held-out images of one group from those of the other, the groups were not made alike.
Each class is tested alone, so that another share of pneumonia makes no difference; all images of a patient are in one
fold, so that recognising a patient makes none either. Chance is measured in the same way, between random halves of the
first group.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.quality.seen_before import of_one_issuer
from pneumo.records.base import LABELS, Interval
from pneumo.records.data import ShiftAudit, ShiftRow

MOST = 300  # images of a class in a group; more take longer and change little
FEWEST = 20  # patients of a class that each group needs
FOLDS = 5
HALVINGS = 10
# Standard deviations that chance exceeds for one data set in twenty, each with a test for either class (Bonferroni).
SPREAD = 2.24
RESAMPLES = 300
STRENGTH = 1e-3  # inverse of the regularisation: strong, since there are more features than images
MARGIN = 0.1  # of AUC above random halves: a larger difference is worth a warning
STATISTICS = "intensity statistics and coarse structure"
MEASURES = ["mean", "std", "dark", "bright", "border", "symmetry", "marker"]
WORDS = {"NORMAL": "normals", "PNEUMONIA": "pneumonia images"}
Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


class Group(NamedTuple):
    """Images of one place: `rows` with label and patient, and `features` (n, d) in the same order."""

    rows: pd.DataFrame
    features: Floats


def sample(manifest: pd.DataFrame) -> pd.DataFrame:
    """At most `MOST` rows of each class, the first by sha256, so the same on any machine; in the manifest's order."""
    order = manifest.sort_values("sha256", kind="stable")
    return manifest.loc[order.groupby("label").head(MOST).index.sort_values()]


def audit_manifests(name: str, training: pd.DataFrame, others: pd.DataFrame) -> ShiftAudit:
    """`audit` with features from the manifests of readable images alone, without pixels or a network."""
    parts = sample(training), sample(others)
    features = np.split(_described(pd.concat(parts)), [len(parts[0])])
    return audit(name, STATISTICS, *map(Group, parts, features))


def can_be_audited(manifest: pd.DataFrame) -> bool:
    """Whether a manifest has the columns that `audit_manifests` needs; older versions may lack them."""
    return {"phash", "histogram", *MEASURES} <= set(manifest.columns)


def audit(name: str, kind: str, training: Group, others: Group) -> ShiftAudit:
    """Test for each class whether its images among `others` can be told from those of training.

    Args:
        name: name of the others in sentences: test, or a hospital.
        kind: what the features are, in words.
        training: images of the training set; at most some hundreds of each class, see `sample`.
        others: images in question.
    """
    rows = tuple(_row(label, _of_class(training, label), _of_class(others, label)) for label in LABELS)
    return ShiftAudit(name=name, features=kind, rows=rows)


def excess(row: ShiftRow) -> float:
    """How far the AUC is above that between random halves, 0 to 0.5; 0 if chance can explain it or it is unknown."""
    if row.auc is None or row.random is None or row.auc.low <= row.random.high:
        return 0.0
    return row.auc.value - row.random.value


def figures_in_words(row: ShiftRow) -> str:
    """The figures of a row that has them, as text: AUC 0.89 (0.50 between random halves)."""
    assert row.auc and row.random  # noqa: S101 - the caller checked
    return f"AUC {row.auc.value:.2f} ({row.random.value:.2f} between random halves)"


def sentences(audit: ShiftAudit) -> list[str]:
    """What was found, one sentence for each class."""
    return [_sentence(row, f"{audit.name} {WORDS[row.label]}") for row in audit.rows]


def numbers(audit: ShiftAudit) -> dict[str, float]:
    """What was measured, by its name in MLflow: normal_auc, normal_random_auc, ..."""
    measured = [(row.label.lower(), row.auc, row.random) for row in audit.rows]
    areas = {f"{label}_auc": area.value for label, area, _ in measured if area}
    return areas | {f"{label}_random_auc": area.value for label, _, area in measured if area}


def _sentence(row: ShiftRow, what: str) -> str:
    if row.auc is None:
        return (
            f"Where the {what} are from cannot be told: at least {FEWEST} patients are needed, and as many of training."
        )
    figures = figures_in_words(row)
    if excess(row) > MARGIN:
        return f"The {what} are from elsewhere: {figures}; expect less than on validation."
    if not excess(row) and row.random and row.auc.value - row.random.value > MARGIN:
        return (
            f"With {row.patients} patients it is not certain that the {what} differ from those of training: {figures}."
        )
    little = "A small difference" if excess(row) else "No difference"
    return f"{little} was found between the {what} and those of training: {figures}."


def _of_class(group: Group, label: str) -> Group:
    among = (group.rows["label"] == label).to_numpy()
    return Group(group.rows[among], group.features[among])


def _described(rows: pd.DataFrame) -> Floats:
    """Features (n, d): statistics, square roots of the histogram, and signs of the low frequencies."""
    bits = np.frombuffer(bytes.fromhex("".join(rows["phash"])), np.uint8).reshape(len(rows), -1)
    histogram = np.sqrt(np.stack(rows["histogram"].tolist()))
    return np.hstack([rows[MEASURES].to_numpy(float), histogram, np.unpackbits(bits, axis=1)])


def _row(label: str, training: Group, others: Group) -> ShiftRow:
    counted = ShiftRow(label=label, images=len(others.rows), patients=others.rows["patient"].nunique())
    if min(counted.patients, training.rows["patient"].nunique()) < FEWEST:
        return counted
    apart = np.repeat([False, True], [len(training.rows), len(others.rows)])
    rows = pd.concat([training.rows, others.rows], ignore_index=True)
    patients = of_one_issuer(rows["patient"], rows).to_numpy()
    scores = _scores(np.concatenate([training.features, others.features]), apart, patients)
    chance = _chance(training.features, training.rows["patient"].to_numpy(), counted.patients)
    return counted.model_copy(update={"auc": _interval(scores, apart, patients), "random": chance})


def _scores(features: Floats, apart: Flags, patients: NDArray[Any]) -> Floats:
    """Scores (n,) for belonging to `apart`, each from a model that saw no image of that patient."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # This solver uses one thread; those that share so little work among threads take three times as long.
    linear = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear", dual=True, random_state=0)
    model = make_pipeline(StandardScaler(), linear)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    scores: Floats = cross_val_predict(model, features, apart, groups=patients, cv=folds, method="decision_function")
    return scores


def _interval(scores: Floats, apart: Flags, patients: NDArray[Any]) -> Interval:
    """ROC AUC with its 95 % interval over resampled patients."""
    from sklearn.metrics import roc_auc_score

    names, codes = np.unique(patients, return_inverse=True)
    share = np.full(len(names), 1 / len(names))
    draws = np.random.default_rng(0).multinomial(len(names), share, size=RESAMPLES)[:, codes]
    low, high = np.quantile([roc_auc_score(apart, scores, sample_weight=draw) for draw in draws], (0.025, 0.975))
    return Interval(value=float(roc_auc_score(apart, scores)), low=float(low), high=float(high))


def _chance(features: Floats, patients: NDArray[Any], others: int) -> Interval:
    """ROC AUC between random halves of the patients: the mean, and the range within which chance explains a value.

    The range is `SPREAD` standard deviations over the halvings, scaled to the number of patients that are compared.
    """
    from sklearn.metrics import roc_auc_score

    names, codes = np.unique(patients, return_inverse=True)
    random = np.random.default_rng(0)
    halves = [random.permutation(len(names))[codes] < len(names) // 2 for _ in range(HALVINGS)]
    areas = [roc_auc_score(half, _scores(features, half, patients)) for half in halves]
    sizes = _deviation(len(names), others) / _deviation(len(names) / 2, len(names) / 2)
    mean, spread = float(np.mean(areas)), SPREAD * float(np.std(areas, ddof=1)) * sizes
    return Interval(value=mean, low=mean - spread, high=mean + spread)


def _deviation(first: float, second: float) -> float:
    """Standard deviation of the ROC AUC of two equal groups of these sizes (Mann and Whitney 1947)."""
    return math.sqrt((first + second + 1) / (12 * first * second))
