"""A registered model of embeddings, as MLflow loads it; and what those get who have only images for it."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from pneumo.errors import ModelError
from pneumo.serving.batch.scoring import predict
from pneumo.serving.bundle.image_bundle import load_bundle, write_embedding_bundle
from pneumo.serving.bundle.out_of_distribution import learn_feature_distance
from pneumo.serving.bundle.registered import load_registered
from pneumo.serving.bundle.score_table import score_cells
from pneumo.settings.data import Data
from pneumo.tracking import Tracker

WIDTH = 8
VECTORS = np.random.default_rng(0).normal(size=(60, WIDTH)).astype("float32")
FRESH = """
import json, sys
import pandas as pd
from mlflow.pyfunc import load_model
model = load_model(sys.argv[1])
table = model.predict(pd.DataFrame({"embedding": json.loads(sys.stdin.read())}), params={"threshold": 0.5})
import pneumo
print(json.dumps({"rows": json.loads(table.to_json(orient="records")), "package": pneumo.__file__}))
"""


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory):
    import keras

    folder = tmp_path_factory.mktemp("bundle")
    embedding = keras.Input((WIDTH,))
    keras.utils.set_random_seed(0)
    keras.Model(embedding, keras.layers.Dense(1)(embedding)).save(folder.parent / "linear.keras")
    write_embedding_bundle(
        folder, folder.parent / "linear.keras", learn_feature_distance(VECTORS[:40], VECTORS[40:]),
        name="linear on dino", width=WIDTH,
        temperature=2.0, offset=0.5, threshold=0.4, dataset="d" * 64, synthetic=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def tracker(mlflow_server, tmp_path_factory):
    found = Tracker(mlflow_server, "embedding")
    found.client.create_experiment("embedding", artifact_location=tmp_path_factory.mktemp("files").as_uri())
    return found


@pytest.fixture(scope="module")
def version(tracker, bundle_folder):
    uri = tracker.bundles.log(tracker.runs.start("run"), bundle_folder, "linear", VECTORS[0].tolist())
    return tracker.registry.version("vectors", tracker.registry.register(uri, "vectors"))


@pytest.fixture(scope="module")
def saved(tracker, version, tmp_path_factory):
    return tracker.files.download(version.uri, tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def model(saved):
    from mlflow.pyfunc import load_model

    return load_model(str(saved))


def table_of(model, cells, **options):
    return model.predict(pd.DataFrame({"embedding": pd.Series(cells, dtype=object)}), **options)


def test_numbers_that_overflow_the_model_get_an_error_and_are_not_called_normal(bundle_folder):
    bundle = load_bundle(bundle_folder)
    bundle.model.set_weights([np.array([[4.0], [-4.0]] * (WIDTH // 2)), np.zeros(1)])
    table = score_cells(bundle, [VECTORS[0].tolist(), [3e38] * WIDTH], threshold=0.5)  # infinity less infinity
    assert table["label"].tolist()[0] and table["error"].tolist()[0] is None
    bad = table.iloc[1]
    assert np.isnan(bad["probability"]) and bad["label"] is None and bad["out_of_distribution"]
    assert bad["error"] == "Expected a probability of row 1, but the model gives no number: do not use it."


def test_lists_and_arrays_of_any_kind_of_number_give_the_same(model, bundle_folder):
    whole = np.arange(WIDTH)
    cells = [whole, whole.tolist(), whole.astype("float32"), tuple(whole.astype(float))]
    table = table_of(model, cells)
    assert list(table.columns) == ["probability", "label", "error", "out_of_distribution"]
    np.testing.assert_allclose(table["probability"], load_bundle(bundle_folder).score(whole[None]).probability[0])


def test_a_bad_vector_is_a_row_with_an_error_and_the_others_are_scored(model):
    good, nan = VECTORS[0].tolist(), [float("nan")] * WIDTH
    bad = [good[1:], [*good, 1.0], [], None, "a text", b"bytes", nan, [1e300] * WIDTH, [good, good], ["x"] * WIDTH, 3.5]
    bad += [pd.NA, pd.Series(good)]  # neither can be compared with itself
    table = table_of(model, [good, *bad, [[1.0], [1.0, 2.0]], good])
    assert table["error"].isna().tolist() == [True, *[False] * (len(bad) + 1), True]
    assert (
        table["error"][1]
        == "Expected an embedding of 8 finite numbers, but row 1 holds 7 numbers: it was made by another model."
    )
    assert table.loc[~table["error"].isna(), "error"].str.contains(r"row \d").all()
    assert table.loc[~table["error"].isna(), ["probability", "label"]].isna().all(axis=None)


def test_a_column_of_images_is_refused(model):
    with pytest.raises(Exception, match="embedding"):
        model.predict(pd.DataFrame({"image": [b"x"]}))


def test_the_threshold_is_a_parameter_of_inference(model):
    assert table_of(model, [VECTORS[0]], params={"threshold": 0.0})["label"].item() == "PNEUMONIA"
    assert table_of(model, [VECTORS[0]], params={"threshold": 1.0})["label"].item() == "NORMAL"
    assert len(table_of(model, [])) == 0


def test_a_fresh_process_far_from_the_project_gives_the_same(saved, model, tmp_path):
    run = subprocess.run(
        [sys.executable, "-P", "-c", FRESH, str(saved)],
        input=json.dumps(VECTORS[:3].tolist()), capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    got = json.loads(run.stdout.splitlines()[-1])
    assert got["package"].startswith(str(saved))
    expected = table_of(model, list(VECTORS[:3]), params={"threshold": 0.5})
    np.testing.assert_allclose([row["probability"] for row in got["rows"]], expected["probability"], atol=1e-6)


def test_app_and_export_say_that_it_takes_no_images(tracker, version):
    with pytest.raises(ModelError, match="a model of images, but vectors version 1 takes embeddings made elsewhere"):
        load_registered(tracker, version)


def test_batch_scoring_says_that_it_takes_no_images(tracker, version, tiny, tmp_path):
    (tmp_path / "image.png").write_bytes(tiny.encoded(tiny.pictures(1)[0]))
    with pytest.raises(ModelError, match="a model of images, but vectors version 1 takes embeddings made elsewhere"):
        predict(tracker, version, [str(tmp_path)], str(tmp_path / "out.csv"), tmp_path, Data())
    assert not list(tmp_path.glob("out*"))


def test_a_changed_spec_names_the_key(bundle_folder, tmp_path):
    spec = json.loads((bundle_folder / "serving.json").read_text())
    (tmp_path / "serving.json").write_text(json.dumps({**spec, "width": "many"}))
    with pytest.raises(ModelError, match="key width: "):
        load_bundle(tmp_path)
