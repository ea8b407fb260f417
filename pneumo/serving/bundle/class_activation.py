"""Embedding and class activation maps of a trained network, from its own layers."""

from typing import TYPE_CHECKING, Any, NamedTuple

from pneumo.errors import ModelError
from pneumo.records.base import VIEWS

if TYPE_CHECKING:
    import keras


class Branches(NamedTuple):
    """A logit, and what its branches have before it: one embedding and one map for each."""

    logit: Any
    embeddings: list[Any]
    maps: list[Any]


def inspected_network(model: "keras.Model") -> "keras.Model":
    """The network with embedding and class activation maps (Zhou et al. 2016) as further outputs.

    The maps equal Grad-CAM for this head, without gradients. The mean of a map is the logit: positive places speak for
    pneumonia, negative ones against it. Of an ensemble, embeddings are joined, and maps are resized to the first
    branch's size and averaged, as the logits are. With several views, both are those of the whole image.

    Returns:
        A model: images float32 (n, size, size, 1) in 0..255 -> [logit (n, 1), embedding (n, d), maps (n, height,
        width)]. Each layer is computed once for all three.

    Raises:
        ModelError: the model does not end with global average pooling and one Dense layer per branch.
    """
    import keras

    found = _branches(model.outputs[0])
    size = found.maps[0].shape[1:3]
    alike = [item if item.shape[1:3] == size else keras.ops.image.resize(item, size) for item in found.maps]
    mean = alike[0] if len(alike) == 1 else keras.layers.Average()(alike)
    joined = found.embeddings[0] if len(alike) == 1 else keras.ops.concatenate(found.embeddings, axis=-1)
    return _plain(keras.Model(model.input, [found.logit, joined, mean[..., 0]]))


def embedding_widths(network: "keras.Model") -> list[int]:
    """Numbers in the embedding of each branch of an `inspected_network`, in the order in which they are joined."""
    _, joined = _made_by(network.outputs[1])
    widths = [int(tensor.shape[-1]) for tensor in joined]
    whole = int(network.outputs[1].shape[-1])
    return widths if sum(widths) == whole else [whole]


def _branches(tensor: Any) -> Branches:
    """Branches that lead to a tensor; branches may be models inside the model.

    A model inside is replaced by one with more outputs. The old one would be computed beside it, so all that comes
    behind it is applied anew.
    """
    import keras

    operation, sources = _made_by(tensor)
    if isinstance(operation, keras.layers.Dense):
        pooling = _pooling(tensor)
        return Branches(tensor, [pooling.output], [_head_at_every_place(pooling, operation)])
    if isinstance(operation, keras.Model):
        inside = _branches(operation.outputs[0])
        count = len(inside.maps)
        logit, *taps = keras.Model(operation.input, [inside.logit, *inside.embeddings, *inside.maps])(sources[0])
        return Branches(logit, taps[:count], taps[count:])
    if operation.name == VIEWS:
        whole = _branches(sources[0])
        return whole._replace(logit=operation([whole.logit, *sources[1:]]))
    if not sources:
        raise ModelError(f"{_EXPECTED} came a layer {operation.name} with no such head before it.")
    return _joined(operation, [_branches(source) for source in sources])


def _joined(operation: Any, parts: list[Branches]) -> Branches:
    logits = [part.logit for part in parts]
    return Branches(
        operation(logits if len(logits) > 1 else logits[0]),
        [item for part in parts for item in part.embeddings],
        [item for part in parts for item in part.maps],
    )


def _head_at_every_place(pooling: Any, dense: Any) -> Any:
    import keras

    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in dense.weights)
    return keras.ops.tensordot(keras.ops.cast(pooling.input, "float32"), kernel, axes=1) + bias


def _pooling(tensor: Any) -> Any:
    import keras

    operation, sources = _made_by(tensor)
    while not isinstance(operation, keras.layers.GlobalAveragePooling2D):
        if len(sources) != 1:
            raise ModelError(f"{_EXPECTED} came {operation.name} before the Dense layer.")
        operation, sources = _made_by(sources[0])
    return operation


def _made_by(tensor: Any) -> tuple[Any, list[Any]]:
    """The layer that gives a tensor, and the tensors that it gets. Keras has no public way to them."""
    operation, node, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node].input_tensors


_EXPECTED = "Expected a network that ends with GlobalAveragePooling2D and one Dense layer per branch,"


def _plain(model: "keras.Model") -> "keras.Model":
    import keras

    if keras.config.backend() == "tensorflow":
        # On a CPU, XLA is many times slower than TensorFlow's own kernels for depthwise convolutions.
        model.jit_compile = False
    return model
