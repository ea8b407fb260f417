import inspect

import numpy as np
import pytest

from pneumo.errors import TrainingError
from pneumo.training.networks.backbones import SCALING, available, build, module_of, takes_alpha


def test_every_backbone_of_keras_is_known():
    import keras

    theirs = {name for name, found in vars(keras.applications).items() if inspect.isfunction(found)}
    assert {"MobileNetV2", "EfficientNetV2B0", "ConvNeXtTiny", "ResNet50V2", "DenseNet121"} <= theirs
    assert set(available()) == theirs


@pytest.mark.parametrize("module", sorted(SCALING))
def test_pixels_are_scaled_as_the_backbone_expects(module):
    import keras

    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 1)).astype("float32").repeat(3, axis=-1)
    scale, offset = SCALING[module]
    ours = np.asarray(keras.layers.Rescaling(scale, offset)(pixels))
    theirs = np.asarray(getattr(keras.applications, module).preprocess_input(pixels.copy()))
    np.testing.assert_allclose(
        np.sort(ours), np.sort(theirs), atol=2e-5
    )  # some turn RGB to BGR; of gray it is the same


def test_an_unknown_name_is_answered_with_its_neighbours():
    with pytest.raises(TrainingError, match="EfficientNetB0"):
        module_of("EfficentNetB0")


@pytest.mark.parametrize(
    ("name", "file"), [("EfficientNetB0", "efficientnetb0_"), ("EfficientNetV2B0", "efficientnetv2-b0_")]
)
def test_its_imagenet_weights_are_asked_for_by_the_name_that_keras_gave_them(monkeypatch, name, file):
    from keras.src.utils import file_utils

    asked = []

    def fetch(file_name, *_, **__):
        asked.append(file_name)
        raise ConnectionError

    monkeypatch.setattr(file_utils, "get_file", fetch)
    with pytest.raises(ConnectionError):
        build(name, None, 32, weights="imagenet")
    assert len(asked) == 1 and asked[0].startswith(file)
    assert build(name, None, 32).name == "backbone"


def test_only_mobile_nets_have_a_width():
    assert takes_alpha("MobileNetV3Large") and not takes_alpha("Xception")


def test_a_size_that_the_backbone_refuses_is_told():
    with pytest.raises(TrainingError, match=r"Xception.*size 32"):
        build("Xception", None, 32)
