"""A linear model on embeddings: a candidate like the others, but for what it cannot be asked."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumo.data.sources.embeddings import bring_in
from pneumo.errors import TrainingError
from pneumo.settings.data import Data
from pneumo.training.candidates.linear_probe import train_linear

WIDTH = 6


@pytest.fixture(scope="module")
def features(dataset, tmp_path_factory):
    """Vectors of which the first number tells the class, most of the time."""
    rows = pd.read_parquet(dataset[0].manifest)
    values = np.random.default_rng(1).normal(0, 1, (len(rows), WIDTH)).astype("float32")
    values[:, 0] += 3 * (rows["label"] == "PNEUMONIA").to_numpy()
    file = tmp_path_factory.mktemp("features") / "rad-dino.parquet"
    pd.DataFrame({"path": rows["path"], "embedding": values.tolist()}).to_parquet(file)
    return file


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def vectors(features, dataset, home):
    return bring_in([str(features)], dataset[0], home, Data())[0]


@pytest.fixture(scope="module")
def events():
    return []


@pytest.fixture(scope="module")
def trained(vectors, dataset, home, events):
    return train_linear(vectors, dataset[0], "run", home, events.append)


def test_its_predictions_are_of_validation_and_test_images_and_its_auc_is_theirs(trained, dataset):
    rows, manifest = pd.read_parquet(trained.predictions), pd.read_parquet(dataset[0].manifest)
    assert rows["path"].tolist() == manifest.loc[manifest["split"] != "train", "path"].tolist()
    held_out = rows.query("split == 'validation'")
    assert trained.validation_auc == roc_auc_score(held_out["label"] == "PNEUMONIA", held_out["logit"])
    assert trained.validation_auc > 0.9


def test_what_change_does_to_it_is_not_made_up(trained):
    assert trained.name == "linear on rad-dino"
    assert (trained.shifted_auc, trained.selection_score) == (None, None)
    assert json.loads(trained.model.with_name("history.json").read_text()) == {"epochs": [], "shifts": {}}


def test_its_model_loads_in_safe_mode_and_gives_the_predicted_logits(trained, features):
    import keras

    model = keras.saving.load_model(trained.model, safe_mode=True)
    rows = pd.read_parquet(trained.predictions).merge(pd.read_parquet(features), on="path")
    logits = np.asarray(model(np.stack(rows["embedding"]).astype("float32")))[:, 0]
    np.testing.assert_allclose(logits, rows["logit"], atol=1e-4)


def test_a_finished_one_is_not_trained_again(trained, vectors, dataset, home, events):
    assert [event.stage for event in events] == ["start", "done"]
    assert train_linear(vectors, dataset[0], "other", home, events.append) == trained.model_copy(
        update={"run_id": "other"}
    )
    assert len(events) == 2


def test_no_test_image_moves_the_model(trained, features, dataset, tmp_path):
    import keras

    rows = pd.read_parquet(dataset[0].manifest)
    table = pd.read_parquet(features)
    test = (rows["split"] == "test").to_numpy()
    table["embedding"] = [
        [9.0] * WIDTH if other else vector for other, vector in zip(test, table["embedding"], strict=True)
    ]
    table.to_parquet(tmp_path / "turned.parquet")
    (turned,) = bring_in([str(tmp_path / "turned.parquet")], dataset[0], tmp_path, Data())
    found = train_linear(turned, dataset[0], "run", tmp_path)
    weights = [keras.saving.load_model(item.model, safe_mode=True).get_weights() for item in (trained, found)]
    assert all(map(np.array_equal, *weights))


def test_a_split_of_one_class_is_told(vectors, dataset, tmp_path):
    rows = pd.read_parquet(dataset[0].manifest)
    rows[(rows["split"] != "validation") | (rows["label"] == "NORMAL")].to_parquet(tmp_path / "manifest.parquet")
    version = dataset[0].model_copy(update={"manifest": tmp_path / "manifest.parquet"})
    with pytest.raises(TrainingError, match=r"both classes in split validation, found \['NORMAL'\]"):
        train_linear(vectors, version, "run", tmp_path)
