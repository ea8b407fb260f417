"""Probabilities of images by models that did not learn from them."""

from pathlib import Path

import numpy as np
import pandas as pd

from pneumo.data.splits import groups
from pneumo.errors import WeightsError
from pneumo.evaluation.statistics.calibration import probability
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Evaluation
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import open_images
from pneumo.training.networks import architecture, pretrained_weights
from pneumo.training.networks.frozen_features import embeddings

FOLDS = 5
# Inverse of the regularisation, times the number of images; a model that fits more closely learns wrong labels, too.
STRENGTH = 5


def out_of_fold(
    spec: CandidateSpec, version: DatasetVersion, store: ImageStore, evaluation: Evaluation, home: Path
) -> tuple[pd.Series, str]:
    """Probability of pneumonia by path, of images outside the test set, and in words by what.

    Networks of folds have scored every such image. Else a linear model on frozen features scores each fifth of the
    patients after learning from the others. Without pretrained weights only the validation images have such scores.
    """
    held_out = _held_out(evaluation)
    manifest = pd.read_parquet(version.manifest)
    rows = manifest[manifest["split"] != "test"]
    if set(rows["path"]) <= set(held_out.index):
        return held_out, f"the networks of {evaluation.name} that were trained without the image's patient"
    parts = _parts(rows)
    features = None if parts < 2 or not spec.pretrained else frozen_features(spec, version, store, home)
    if features is None:
        return held_out, f"{evaluation.name}, which did not learn from validation images; training images have no score"
    words = f"logistic regression on frozen features of {spec.name}, fitted without the image's patient"
    return cross_validated(features.loc[rows.index], rows, parts), words


def cross_validated(features: pd.DataFrame, rows: pd.DataFrame, parts: int) -> pd.Series:
    """Probability of pneumonia by path; patients with a picture in common, or almost the same one, are kept together.

    Args:
        features: float (n, d), of the rows in their order.
        rows: of the manifest, none of them test.
        parts: folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fit = LogisticRegression(C=STRENGTH / len(rows), class_weight="balanced", max_iter=300)
    cut = StratifiedGroupKFold(parts, shuffle=True, random_state=0)
    ill = (rows["label"] == "PNEUMONIA").to_numpy()
    model = make_pipeline(StandardScaler(), fit)
    found = cross_val_predict(model, features.to_numpy(), ill, groups=_patients(rows), cv=cut, method="predict_proba")
    return pd.Series(found[:, 1], index=rows["path"].to_numpy())


def _held_out(evaluation: Evaluation) -> pd.Series:
    rows = pd.read_parquet(evaluation.predictions)
    rows = rows[rows["split"] == "validation"]
    calibrated = probability(rows["logit"], evaluation.temperature, evaluation.offset)
    return pd.Series(np.asarray(calibrated), index=rows["path"].to_numpy())


def _patients(rows: pd.DataFrame) -> pd.Series:
    return groups(rows) if {"pixels", "phash"} <= set(rows) else rows["patient"]


def _parts(rows: pd.DataFrame) -> int:
    """Folds that leave both classes in each; fewer than two where a class has a single patient."""
    return min(FOLDS, *(group["patient"].nunique() for _, group in rows.groupby("label")))


def frozen_features(spec: CandidateSpec, version: DatasetVersion, store: ImageStore, home: Path) -> pd.DataFrame | None:
    """Frozen features of images outside the test set, float (n, d), by row of the manifest; the training has kept them.

    None where the pretrained weights are on other machines.
    """
    try:
        network = architecture.build(spec, pretrained_weights.load_backbone(spec, home))
    except WeightsError:  # on a cluster only its machines have them
        return None
    images = open_images(version, store)
    found = [
        pd.DataFrame(embeddings(spec, network, images, split, store, home), index=images.rows.index[images.of(split)])
        for split in ("train", "validation")
    ]
    return pd.concat(found)
