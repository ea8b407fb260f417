import numpy as np
import pytest

from pneumo.training.networks import architecture, frozen_features
from pneumo.training.networks.pretrained_weights import load_backbone


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def built(make_spec, home):
    return architecture.build(make_spec(), load_backbone(make_spec(), home))


@pytest.fixture
def computed(monkeypatch):
    """Numbers of images that a network looked at from now on."""
    counts, look = [], frozen_features.predict

    def counting(model, pixels, positions, change=None):
        counts.append(len(positions))
        return look(model, pixels, positions, change)

    monkeypatch.setattr(frozen_features, "predict", counting)
    return counts


def test_features_are_what_the_head_sees(make_spec, built, images, dataset, home):
    found = frozen_features.embeddings(make_spec(), built, images, "train", dataset[1], home)
    dense = built.get_layer("logit")
    kernel, bias = map(np.asarray, dense.get_weights())
    pixels = images.pixels[images.of("train")][..., None].astype("float32")
    np.testing.assert_allclose(found @ kernel + bias, np.asarray(built(pixels)), atol=1e-4)


def test_they_are_computed_once_per_image_and_view(make_spec, built, images, dataset, home, computed):
    spec, rest = make_spec(), (built, images, "train", dataset[1], home)
    first = frozen_features.embeddings(spec, *rest)
    view = frozen_features.augmented(spec, *rest)
    assert np.array_equal(frozen_features.embeddings(spec, *rest), first)
    assert np.array_equal(frozen_features.augmented(spec, *rest), view)
    assert np.array_equal(frozen_features.embeddings(make_spec(learning_rate=1e-5, epochs=9), *rest), first)
    assert computed == [len(first)] * 2
    assert not np.array_equal(first, view)


def test_another_view_is_another_computation(make_spec, built, images, dataset, home, computed):
    rest = (built, images, "train", dataset[1], home)
    first = frozen_features.augmented(make_spec(), *rest)
    assert not np.array_equal(frozen_features.augmented(make_spec(seed=1), *rest), first)
    assert not np.array_equal(frozen_features.augmented(make_spec(augmentation=2.0), *rest), first)
    assert len(computed) == 3
