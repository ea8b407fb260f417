import numpy as np
import pytest

from pneumo.errors import ModelError
from pneumo.serving.bundle.class_activation import inspected_network


@pytest.fixture(params=["single", "ensemble", "saved ensemble"])
def model(request, tmp_path, tiny):
    import keras

    built = tiny.network() if request.param == "single" else tiny.ensemble()
    if request.param.startswith("saved"):
        built.save(tmp_path / "model.keras")
        built = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    return built


@pytest.fixture
def batch(tiny):
    return tiny.pictures(3)[..., None].astype(np.float32)


def test_the_logit_is_kept(model, batch):
    expected = np.asarray(model(batch))
    np.testing.assert_allclose(np.asarray(inspected_network(model)(batch)[0]), expected, rtol=1e-4, atol=1e-5)


def convolutions(model):
    """Convolutions in a model and in the models inside it."""
    return sum(
        convolutions(layer) if hasattr(layer, "layers") else type(layer).__name__ == "Conv2D" for layer in model.layers
    )


def test_no_branch_is_computed_twice(model):
    """A member that is computed beside its replacement would take half as long again."""
    assert convolutions(inspected_network(model)) == convolutions(model)


def test_the_embedding_of_an_ensemble_is_its_branches_in_a_row(tiny, batch):
    assert np.asarray(inspected_network(tiny.network())(batch)[1]).shape == (3, 6)
    assert np.asarray(inspected_network(tiny.ensemble())(batch)[1]).shape == (3, 12)


def test_the_mean_of_a_map_is_the_logit(tiny, batch):
    model = tiny.network()
    logit, _, maps = (np.asarray(item) for item in inspected_network(model)(batch))
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), logit[:, 0], rtol=1e-3, atol=1e-5)


def test_maps_of_an_ensemble_have_the_first_branch_s_size(tiny, batch):
    side = (tiny.SIZE // 2 - 1) // 2
    assert np.asarray(inspected_network(tiny.ensemble())(batch)[2]).shape == (3, side, side)


def test_a_network_with_another_head_is_refused(tiny):
    import keras

    image = keras.Input((tiny.SIZE, tiny.SIZE, 1))
    flat = keras.Model(image, keras.layers.Dense(1)(keras.layers.Flatten()(image)))
    with pytest.raises(ModelError, match="ends with GlobalAveragePooling2D and one Dense layer"):
        inspected_network(flat)
