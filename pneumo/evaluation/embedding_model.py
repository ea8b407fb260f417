"""The bundle of a model of embeddings; what cannot be measured without images is said."""

from pathlib import Path

import pandas as pd

from pneumo.data.sources.embeddings import vectors_of
from pneumo.evaluation.bundle_checks import BundleFacts, bundle_spec, measure_cost, require_same
from pneumo.evaluation.measures import Operating
from pneumo.records.base import Conformal
from pneumo.records.data import DatasetVersion, Vectors
from pneumo.records.model import Candidate
from pneumo.serving.bundle.embedding_bundle import EmbeddingBundle
from pneumo.serving.bundle.image_bundle import load_network, write_embedding_bundle
from pneumo.serving.bundle.out_of_distribution import learn_feature_distance

CHECKED = 64  # test images that the bundle must score as in the predictions
UNMEASURED = (
    "AUC under simulated shift: not measured, since it takes embeddings and no images; so it is chosen"
    " only with promotion.embeddings_may_win.",
    "Shortcut tests and heat maps: not measured, for the same reason.",
    "External sets: not measured, since they are images.",
    "Latency: of the linear model alone; what makes the embeddings is no part of this version and was not timed.",
)


def try_embedding_model(
    folder: Path,
    candidate: Candidate,
    version: DatasetVersion,
    store: Vectors,
    operating: Operating,
    test: pd.DataFrame,
    conformal: Conformal | None = None,
) -> BundleFacts:
    """Write the bundle, check it against the predictions, and time it; see `image_model.try_image_model`.

    Raises:
        ModelError: the bundle does not score as in the predictions.
    """
    bundle = _make_bundle(folder / "bundle", candidate, version, store, operating, conformal)
    checked = test.iloc[:CHECKED]
    vectors = vectors_of(store.path, checked["sha256"])
    require_same(bundle, checked["probability"].to_numpy(), bundle.score(vectors).probability)
    return BundleFacts((), measure_cost(bundle, folder / "bundle", vectors[0]), UNMEASURED, store.path)


def _make_bundle(
    folder: Path,
    candidate: Candidate,
    version: DatasetVersion,
    store: Vectors,
    operating: Operating,
    conformal: Conformal | None,
) -> EmbeddingBundle:
    manifest = pd.read_parquet(version.manifest, columns=["sha256", "split"])
    training, validation = (
        vectors_of(store.path, manifest.loc[manifest["split"] == split, "sha256"]) for split in ("train", "validation")
    )
    feature_distance = learn_feature_distance(training, validation)
    folder.mkdir()
    spec = write_embedding_bundle(
        folder,
        candidate.model,
        feature_distance,
        width=store.width,
        **bundle_spec(candidate, version, operating, conformal),
    )
    return EmbeddingBundle(spec, load_network(candidate.model), feature_distance)
