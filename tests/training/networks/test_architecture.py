import numpy as np
import pytest

from pneumo.training.networks import architecture
from pneumo.training.networks.pretrained_weights import load_backbone
from pneumo.training.process import checkpoint

SIZE = 32


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def built(make_spec, home):
    spec = make_spec()
    return architecture.build(spec, load_backbone(spec, home))


@pytest.fixture(scope="module")
def batch(images):
    return images.pixels[:4][..., None].astype("float32")


def test_the_saved_network_loads_in_safe_mode_and_says_the_same(built, batch, tmp_path):
    import keras

    architecture.finished(built).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(np.asarray(loaded(batch)), np.asarray(built(batch)), atol=1e-5)


def test_it_takes_gray_pixels_and_gives_a_logit(built, batch):
    assert built.input_shape == (None, 32, 32, 1)
    logits = np.asarray(built(batch))
    assert logits.shape == (4, 1) and logits.dtype == np.float32


def test_pretrained_batch_statistics_never_move(built, batch):
    """Within fit, Keras overrides a training=False that was given when the backbone was called."""
    before = checkpoint.values(built.non_trainable_variables)
    built(batch, training=True)
    assert all(map(np.array_equal, before, checkpoint.values(built.non_trainable_variables)))


def test_from_scratch_they_follow_quickly(make_spec, batch, home):
    spec = make_spec(weights="none")
    built = architecture.build(spec, load_backbone(spec, home))
    before = checkpoint.values(built.non_trainable_variables)
    built(batch, training=True)
    assert not all(map(np.array_equal, before, checkpoint.values(built.non_trainable_variables)))


def test_the_ensemble_is_the_mean_logit_of_members_of_any_size(built, make_spec, batch, home, tmp_path):
    import keras

    spec = make_spec(size=64)
    large = architecture.build(spec, load_backbone(spec, home))
    members = {"small": architecture.finished(built), "large": architecture.finished(large)}
    architecture.combine(members).save(tmp_path / "both.keras")
    both = keras.saving.load_model(tmp_path / "both.keras", safe_mode=True)
    grown = np.asarray(keras.layers.Resizing(64, 64)(batch))
    shrunk = np.asarray(keras.layers.Resizing(32, 32)(grown))
    expected = (np.asarray(built(shrunk)) + np.asarray(large(grown))) / 2
    np.testing.assert_allclose(np.asarray(both(grown)), expected, atol=1e-5)


def test_what_was_trained_in_half_precision_is_kept_in_full(built, batch, make_spec, home):
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = architecture.build(spec := make_spec(), load_backbone(spec, home))
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(built.get_weights())
    full = architecture.finished(half)
    np.testing.assert_allclose(np.asarray(full(batch)), np.asarray(built(batch)), atol=1e-5)
    assert "bfloat16" in half.to_json() and "bfloat16" not in full.to_json()


def test_views_average_the_whole_image_and_its_middle(make_spec, tmp_path):
    import keras

    from pneumo.serving.bundle.class_activation import inspected_network

    net = architecture.build(make_spec(), load_backbone(make_spec(), tmp_path))
    both = architecture.averaged_over_views(net)
    batch = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 1)).astype("float32")
    margin = round(SIZE * (1 - architecture.CENTRE_SHARE) / 2)
    middle = keras.ops.image.resize(batch[:, margin : SIZE - margin, margin : SIZE - margin], (SIZE, SIZE))
    said = [np.asarray(net(view)) for view in (batch, middle)]
    np.testing.assert_allclose(np.asarray(both(batch)), np.mean(said, axis=0), rtol=1e-4, atol=1e-5)
    ensemble = architecture.combine({"a": both, "b": both})
    single, twice, joined = (inspected_network(model)(batch) for model in (net, both, ensemble))
    for output in (1, 2):  # embedding and map are of the whole image alone
        np.testing.assert_allclose(np.asarray(twice[output]), np.asarray(single[output]), rtol=1e-4)
    for found in (twice, joined):
        np.testing.assert_allclose(np.asarray(found[0]), np.asarray(both(batch)), rtol=1e-4, atol=1e-5)
