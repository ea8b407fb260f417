import importlib.util

import numpy as np
import pytest

from pneumo.errors import ModelError, ServiceError
from pneumo.serving import export as exporting
from pneumo.serving.bundle.image_bundle import Bundle
from pneumo.serving.export import NEEDED, export
from pneumo.training.networks.architecture import averaged_over_views


@pytest.mark.parametrize("form", ["litert", "onnx"])
def test_an_exported_network_gives_the_same_probabilities(bundle, tiny, tmp_path, form):
    for name in NEEDED[form]:
        pytest.importorskip(name, reason=f"{form} needs {name}")
    found = export(bundle, form, tmp_path / f"model.{form}", tiny.pictures(4))
    assert found.gap < 1e-4 and found.path.is_file() and found.megabytes > 0


def test_batch_normalisation_that_was_trained_is_exported_as_it_is_used(bundle, tiny, tmp_path):
    for name in NEEDED["onnx"]:
        pytest.importorskip(name, reason=f"onnx needs {name}")
    import keras

    image = keras.Input((tiny.SIZE, tiny.SIZE, 1))
    maps = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 3, 2)(keras.layers.Rescaling(1 / 255)(image)))
    network = keras.Model(image, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(maps)))
    views = Bundle(bundle.spec, averaged_over_views(network), bundle.feature_distance)
    found = export(views, "onnx", tmp_path / "m.onnx", tiny.pictures(2))
    assert found.gap < 1e-4


@pytest.mark.parametrize("more", [1, np.nan])
def test_an_export_that_gives_something_else_is_not_kept(bundle, tiny, tmp_path, monkeypatch, more):
    write, load = exporting.FORMS["litert"]

    def load_wrong(path):
        run = load(path)
        return lambda image: run(image) + more

    monkeypatch.setitem(exporting.FORMS, "litert", (write, load_wrong))
    with pytest.raises(ModelError, match=r"Expected litert to give the same probabilities within 0\.001, the gap is"):
        export(bundle, "litert", tmp_path / "model.tflite", tiny.pictures(2))
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(NEEDED, "onnx", ("no_such_package",))
    assert importlib.util.find_spec("no_such_package") is None
    with pytest.raises(ServiceError, match="Expected no_such_package for onnx, not installed"):
        export(bundle, "onnx", tmp_path / "model.onnx", np.zeros((1, 32, 32), np.uint8))


def test_a_network_does_not_take_the_name_of_the_file_beside_it(bundle, tiny, tmp_path):
    with pytest.raises(ServiceError, match=r"another ending than \.json for the network, got model\.json"):
        export(bundle, "litert", tmp_path / "model.json", tiny)
    assert not any(tmp_path.iterdir())
