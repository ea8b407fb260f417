"""Batch normalisation with fixed statistics, folded into the convolution before it: the same numbers, in less time.

In inference mode batch normalisation multiplies and shifts each channel (Ioffe and Szegedy 2015). Applied to the kernel
instead of the images, this costs nothing: on a CPU a forward pass takes half to three quarters of the time
(docs/speed.md).
"""

from typing import Any

import keras
import numpy as np


class _Scaled:
    """A convolution and the batch normalisation behind it: (x * kernel + bias) * scale + shift, by output channel.

    Only kernel and bias are trained. They have the gradients that they would have with batch normalisation behind them.
    """

    def build(self: Any, input_shape: Any) -> None:
        """Add scale and shift to kernel and bias."""
        super().build(input_shape)  # type: ignore[misc]
        channels = {"shape": self.compute_output_shape(input_shape)[-1:], "trainable": False}
        self.scale = self.add_weight(name="scale", initializer="ones", **channels)
        self.shift = self.add_weight(name="shift", initializer="zeros", **channels)

    def call(self: Any, inputs: Any) -> Any:
        """Convolve with the scaled kernel."""
        shift = self.bias * self.scale + self.shift if self.use_bias else self.shift
        return self.convolve(inputs) + shift


class _ScaledConv2D(_Scaled, keras.layers.Conv2D):  # type: ignore[misc]
    def convolve(self, inputs: Any) -> Any:
        return self.convolution_op(inputs, self.kernel * self.scale)


class _ScaledDepthwiseConv2D(_Scaled, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    def convolve(self, inputs: Any) -> Any:
        kernel = self.kernel * keras.ops.reshape(self.scale, self.kernel.shape[2:])
        how = {"strides": self.strides, "padding": self.padding, "dilation_rate": self.dilation_rate}
        return keras.ops.depthwise_conv(inputs, kernel, data_format=self.data_format, **how)


SCALED: dict[type, Any] = {keras.layers.Conv2D: _ScaledConv2D, keras.layers.DepthwiseConv2D: _ScaledDepthwiseConv2D}
PLAIN: dict[type, Any] = {scaled: plain for plain, scaled in SCALED.items()}


def fold(backbone: Any) -> Any:
    """A copy of a backbone without the batch normalisation that directly follows a convolution; itself if it has none.

    Its kernels are trained as before; scale and shift stay as they are. Other batch normalisation is copied.

    Args:
        backbone: a functional Keras model with the data format channels_last.
    """
    behind = {}
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and (convolution := _only_before(layer)) is not None:
            behind[convolution.name] = layer
    if not behind:
        return backbone
    gone = {layer.name for layer in behind.values()}

    def copy(layer: Any) -> Any:
        kind: Any = SCALED[type(layer)] if layer.name in behind else type(layer)
        return kind.from_config(layer.get_config())

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in gone else layer(*inputs, **options)

    folded = keras.models.clone_model(backbone, clone_function=copy, call_function=call)
    for layer in folded.layers:
        if layer.weights:
            values = backbone.get_layer(layer.name).get_weights()
            layer.set_weights([*values, *_affine(behind[layer.name])] if layer.name in behind else values)
    return folded


def unfold(backbone: Any) -> Any:
    """A copy of a folded backbone in layers of Keras alone, each with one kernel and one bias, in float32."""

    def copy(layer: Any) -> Any:
        if type(layer) in PLAIN:
            return PLAIN[type(layer)].from_config({**layer.get_config(), "use_bias": True, "dtype": "float32"})
        return in_full_precision(layer)

    plain = keras.models.clone_model(backbone, clone_function=copy)
    for layer in plain.layers:
        if layer.weights:
            source = backbone.get_layer(layer.name)
            layer.set_weights(_kernel_and_bias(source) if type(source) in PLAIN else source.get_weights())
    return plain


def in_full_precision(layer: Any) -> Any:
    """A layer or operation with the same configuration that computes in float32; it has no weights yet."""
    precision = {"dtype": "float32"} if isinstance(layer, keras.layers.Layer) else {}  # plain operations have none
    return type(layer).from_config({**layer.get_config(), **precision})


def _only_before(normalisation: Any) -> Any:
    """The convolution whose output only this layer takes; None if there is none, or if it has an activation."""
    before = normalisation.input._keras_history.operation  # Keras has no public way to it, nor to who takes its output
    if type(before) not in SCALED or before.activation is not keras.activations.linear:
        return None
    return before if {node.operation for node in before._outbound_nodes} == {normalisation} else None


def _affine(normalisation: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scale and shift of each channel: gamma / sqrt(variance + epsilon), and beta - mean * scale."""
    mean, variance = (np.asarray(value) for value in (normalisation.moving_mean, normalisation.moving_variance))
    scale = 1 / np.sqrt(variance + normalisation.epsilon)
    scale = scale * np.asarray(normalisation.gamma) if normalisation.scale else scale
    shift = -mean * scale
    return scale, shift + np.asarray(normalisation.beta) if normalisation.center else shift


def _kernel_and_bias(layer: Any) -> list[np.ndarray]:
    kernel, scale, shift = (np.asarray(value) for value in (layer.kernel, layer.scale, layer.shift))
    bias = np.asarray(layer.bias) * scale if layer.use_bias else 0.0
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return [kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale), shift + bias]
