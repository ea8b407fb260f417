"""Embedding and class activation maps of a trained network, from its own layers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pneumo.errors import ModelError
from pneumo.records.base import VIEWS

if TYPE_CHECKING:
    import keras

Tap = Callable[[Any, Any], Any]


def embedding_network(model: "keras.Model") -> "keras.Model":
    """The network with its embedding as a second output; that of an ensemble joins its branches' embeddings.

    Returns:
        A model: images float32 (n, size, size, 1) in 0..255 -> [logit (n, 1), embedding (n, d)].

    Raises:
        ModelError: the model does not end with global average pooling and one Dense layer per branch.
    """
    import keras

    pooled = _branches(model.outputs[0], lambda pooling, dense: pooling.output)
    embedding = pooled[0] if len(pooled) == 1 else keras.ops.concatenate(pooled, axis=-1)
    return _plain(keras.Model(model.input, [model.outputs[0], embedding]))


def activation_network(model: "keras.Model") -> "keras.Model":
    """The network with class activation maps (Zhou et al. 2016), which equal Grad-CAM for this head, without gradients.

    The mean of a map is the logit: positive places speak for pneumonia, negative ones against it. The maps of an
    ensemble's branches are resized to the first one's size and averaged, as their logits are.

    Returns:
        A model: images float32 (n, size, size, 1) in 0..255 -> [logit (n, 1), maps (n, height, width)].

    Raises:
        ModelError: the model does not end with global average pooling and one Dense layer per branch.
    """
    import keras

    maps = _branches(model.outputs[0], _head_at_every_place)
    size = maps[0].shape[1:3]
    alike = [item if item.shape[1:3] == size else keras.ops.image.resize(item, size) for item in maps]
    mean = alike[0] if len(alike) == 1 else keras.layers.Average()(alike)
    return _plain(keras.Model(model.input, [model.outputs[0], mean[..., 0]]))


def _head_at_every_place(pooling: Any, dense: Any) -> Any:
    import keras

    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in dense.weights)
    return keras.ops.tensordot(keras.ops.cast(pooling.input, "float32"), kernel, axes=1) + bias


def _branches(tensor: Any, tap: Tap) -> list[Any]:
    """`tap(pooling, dense)` of every branch that leads to a tensor; branches may be models inside the model.

    Keras has no public way from a tensor to the layers before it through models in a model, hence `_inbound_nodes`.
    """
    import keras

    operation, node, _ = tensor._keras_history
    sources = operation._inbound_nodes[node].input_tensors
    if isinstance(operation, keras.layers.Dense):
        return [tap(_pooling(tensor), operation)]
    if isinstance(operation, keras.Model):
        inner = keras.Model(operation.input, _branches(operation.outputs[0], tap))
        return list(inner(sources[0]))
    if operation.name == VIEWS:
        return _branches(sources[0], tap)
    if not sources:
        raise ModelError(f"{_EXPECTED} came a layer {operation.name} with no such head before it.")
    return [branch for source in sources for branch in _branches(source, tap)]


def _pooling(tensor: Any) -> Any:
    import keras

    while not isinstance(operation := tensor._keras_history.operation, keras.layers.GlobalAveragePooling2D):
        sources = operation._inbound_nodes[tensor._keras_history.node_index].input_tensors
        if len(sources) != 1:
            raise ModelError(f"{_EXPECTED} came {operation.name} before the Dense layer.")
        tensor = sources[0]
    return operation


_EXPECTED = "Expected a network that ends with GlobalAveragePooling2D and one Dense layer per branch,"


def _plain(model: "keras.Model") -> "keras.Model":
    import keras

    if keras.config.backend() == "tensorflow":
        # On a CPU, XLA is many times slower than TensorFlow's own kernels for depthwise convolutions.
        model.jit_compile = False
    return model
