import keras
import numpy as np
import pytest

from pneumo.training.networks import backbones, folding


def small_network(activation: str = "linear", twice: bool = False) -> keras.Model:
    """Convolutions of both kinds, with and without bias, each with batch normalisation behind it."""
    image = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(6, 3, activation=activation, name="first")(image)
    hidden = keras.layers.BatchNormalization(name="norm_first")(first)
    hidden = keras.layers.Add()([hidden, first]) if twice else hidden
    hidden = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depthwise")(hidden)
    hidden = keras.layers.BatchNormalization(scale=False, name="norm_depthwise")(keras.layers.ReLU()(hidden))
    hidden = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="second")(hidden)
    hidden = keras.layers.BatchNormalization(center=False, name="norm_second")(hidden)
    return with_statistics(keras.Model(image, hidden, name="backbone"))


def with_statistics(model: keras.Model) -> keras.Model:
    """Weights and statistics as if they had been learned."""
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
            layer.set_weights([generator.uniform(0.5, 2, value.shape) for value in layer.get_weights()])
    return model


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV2", "MobileNetV3Small"])
def test_a_folded_backbone_gives_the_same_features_without_any_batch_normalisation(name):
    keras.utils.set_random_seed(0)
    backbone = with_statistics(backbones.build(name, 0.35 if name == "MobileNetV2" else 1.0, 32))
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
    expected = backbone.predict_on_batch(images)
    folded = folding.fold(backbone)
    plain = folding.unfold(folded)
    for copy in (folded, plain):
        assert "BatchNormalization" not in kinds(copy)
        np.testing.assert_allclose(copy.predict_on_batch(images), expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert all(type(layer).__module__.startswith("keras.src.layers") for layer in plain.layers)


def test_what_is_folded_is_trained_as_if_batch_normalisation_stood_behind_it():
    keras.utils.set_random_seed(0)
    network = small_network()
    folded = folding.fold(network)
    images = np.random.default_rng(1).normal(size=(16, 8, 8, 3)).astype("float32")
    targets = np.random.default_rng(2).normal(size=(16, 2, 2, 24)).astype("float32")
    for model in (network, folded):
        model.compile(keras.optimizers.AdamW(0.01), "mse", jit_compile=False)
        model.fit(images, targets, batch_size=16, epochs=5, shuffle=False, verbose=0)
    for name in ("first", "depthwise", "second"):
        for value, expected in zip(
            folded.get_layer(name).trainable_weights, network.get_layer(name).weights, strict=True
        ):
            np.testing.assert_allclose(value.numpy(), expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(
        folding.unfold(folded).predict_on_batch(images), network.predict_on_batch(images), atol=1e-3
    )


@pytest.mark.parametrize("options", [{"activation": "relu"}, {"twice": True}])
def test_normalisation_that_does_not_directly_and_alone_follow_a_convolution_stays(options):
    network = small_network(**options)
    folded = folding.fold(network)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    assert {"norm_first", "norm_depthwise"} <= {layer.name for layer in folded.layers}
    assert "norm_second" not in {layer.name for layer in folded.layers}
    np.testing.assert_allclose(folded.predict_on_batch(images), network.predict_on_batch(images), atol=1e-4)


def test_a_frozen_layer_stays_frozen_and_a_network_already_in_use_can_be_folded():
    network = small_network()
    network.get_layer("first").trainable = False
    keras.Model(network.input, keras.layers.GlobalAveragePooling2D()(network(network.input)))  # its layers run twice
    folded = folding.fold(network)
    assert "norm_first" not in {layer.name for layer in folded.layers}
    trained = {weight.path for weight in folded.trainable_weights}
    assert {path.split("/")[0] for path in trained} == {"depthwise", "second"}
