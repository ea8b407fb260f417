"""A tiny network and its bundle, built in a second."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

SIZE = 32


def network(size: int = SIZE, seed: int = 0):
    import keras

    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 1))
    maps = keras.layers.Conv2D(6, 3, 2, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(image, keras.layers.Dense(1, kernel_initializer="random_normal", name="logit")(pooled))


def ensemble(size: int = SIZE):
    import keras

    image = keras.Input((size, size, 1))
    small, other = network(size // 2, seed=1), network(size, seed=2)
    members = [keras.Model(one.input, one.output, name=f"member{place}") for place, one in enumerate((small, other))]
    resized = keras.layers.Resizing(size // 2, size // 2)(image)
    return keras.Model(image, keras.layers.Average()([members[0](resized), members[1](image)]))


def pictures(count: int, size: int = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """Builders of tiny networks and pictures."""
    return SimpleNamespace(SIZE=SIZE, network=network, ensemble=ensemble, pictures=pictures, encoded=encoded)


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory) -> Path:
    from pneumo.serving.bundle.class_activation import inspected_network
    from pneumo.serving.bundle.image_bundle import run_network, write_bundle
    from pneumo.serving.bundle.out_of_distribution import learn_feature_distance

    model, folder = network(), tmp_path_factory.mktemp("bundle")
    model.save(folder.parent / "trained.keras")
    embeddings = run_network(inspected_network(model), pictures(64))[1]
    fields = {"name": "tiny", "size": SIZE, "fit": "squash", "dataset": "d" * 64, "synthetic": True}
    write_bundle(
        folder,
        folder.parent / "trained.keras",
        learn_feature_distance(embeddings[:40], embeddings[40:]),
        **fields,
        temperature=2.0,
        threshold=0.4,
    )
    return folder


@pytest.fixture(scope="session")
def bundle(bundle_folder):
    from pneumo.serving.bundle.image_bundle import load_bundle

    return load_bundle(bundle_folder)


@pytest.fixture(scope="session")
def saved(bundle_folder, tiny, tmp_path_factory):
    """The model's files as MLflow keeps them."""
    from pneumo.tracking import Tracker

    folder = tmp_path_factory.mktemp("mlflow")
    tracker = Tracker(f"sqlite:///{folder}/mlflow.db", "tests")
    tracker.client.create_experiment("tests", artifact_location=(folder / "files").as_uri())
    run_id = tracker.runs.start("run")
    uri = tracker.bundles.log(run_id, bundle_folder, "tiny", tiny.encoded(tiny.pictures(1)[0]))
    return tracker.files.download(uri, folder / "model")


@pytest.fixture(scope="session")
def model(saved):
    from mlflow.pyfunc import load_model

    return load_model(str(saved))


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: errors cut off long texts, and tests compare them whole."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
