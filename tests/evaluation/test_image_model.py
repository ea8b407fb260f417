"""The limit of out-of-distribution of a candidate of folds, whose networks together learned all but test images."""

import numpy as np
import pandas as pd
import pytest

from pneumo.evaluation.image_model import DISTANCE_VALIDATION, learn_distance, sample
from pneumo.serving.bundle.class_activation import embedding_widths, inspected_network
from pneumo.serving.bundle.image_bundle import run_network
from pneumo.serving.bundle.out_of_distribution import QUANTILE, FeatureDistance
from pneumo.training.dataset_images import Fold, open_images
from pneumo.training.networks import architecture

WIDTHS = (5, 7)  # of two backbones


@pytest.fixture(scope="module")
def inspected():
    """An ensemble of two backbones, each the mean of two folds' networks."""
    import keras

    def network(width):
        image = keras.Input((32, 32, 1))
        maps = keras.layers.Conv2D(width, 5, 2, activation="relu")(keras.layers.Rescaling(1 / 127.5, -1)(image))
        return keras.Model(image, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(maps)))

    keras.utils.set_random_seed(0)
    folded = {
        f"backbone{width}": architecture.combine({f"{width} {fold}": network(width) for fold in (1, 2)})
        for width in WIDTHS
    }
    return inspected_network(architecture.combine(folded))


def test_the_limit_is_from_images_that_no_network_of_its_features_learned(inspected, dataset, tmp_path):
    version, store = dataset
    images = np.load(store.path)
    assert embedding_widths(inspected) == [5, 5, 7, 7]
    found = learn_distance(inspected, 2, version, store, images)
    assert found.columns.tolist() == [*range(5), *range(10, 17)]
    rows = open_images(version, store, Fold(number=0, count=2)).rows
    held_out = rows[rows["split"] == "validation"]
    assert set(held_out["path"]) != set(pd.read_parquet(version.manifest).query("split == 'validation'")["path"])
    embeddings = run_network(inspected, images[sample(held_out, DISTANCE_VALIDATION)])[1]
    assert found.limit == pytest.approx(np.quantile(found.distance(embeddings), QUANTILE))
    found.save(tmp_path / "distance.npz")
    kept = FeatureDistance.load(tmp_path / "distance.npz")
    np.testing.assert_array_equal(kept.distance(embeddings), found.distance(embeddings))


def test_without_folds_all_features_count_and_the_limit_is_from_validation_images(inspected, dataset, tmp_path):
    version, store = dataset
    images, manifest = np.load(store.path), pd.read_parquet(version.manifest)
    found = learn_distance(inspected, 1, version, store, images)
    validation = sample(manifest[manifest["split"] == "validation"], DISTANCE_VALIDATION)
    assert found.columns is None
    distances = found.distance(run_network(inspected, images[validation])[1])
    assert found.limit == pytest.approx(np.quantile(distances, QUANTILE))
    found.save(tmp_path / "distance.npz")
    assert FeatureDistance.load(tmp_path / "distance.npz").columns is None
