"""The network: one Keras model of built-in layers from gray pixels to a logit."""

from typing import Any

from pneumo.errors import TrainingError
from pneumo.training.backbones import SCALING, module_of
from pneumo.training.spec import CandidateSpec


def build(spec: CandidateSpec, backbone: Any) -> Any:
    """Put pixel scaling before a backbone, and pooling and one Dense unit behind it.

    With pretrained weights batch normalisation stays in inference mode for ever: their statistics were learnt on far
    more images than there are here.

    Returns:
        A model: float32 (n, size, size, 1) in 0..255 -> float32 logit (n, 1).
    """
    import keras

    scale, offset = SCALING[module_of(spec.backbone.name)]
    gray = keras.Input((spec.size, spec.size, 1), name="image")
    channels = keras.layers.Concatenate(name="channels")([gray, gray, gray])
    scaled = keras.layers.Rescaling(scale, offset, name="scaling")(channels)
    if not spec.pretrained:
        _quicken(backbone)
    maps = backbone(scaled, training=False) if spec.pretrained else backbone(scaled)
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(maps)
    logit = keras.layers.Dense(1, dtype="float32", name="logit")(pooled)
    return keras.Model(gray, logit, name=_plain(spec.name))


def _quicken(backbone: Any) -> None:
    """Let batch statistics follow within one epoch of a few hundred images; built for millions, they would not."""
    import keras

    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.8


def combine(networks: dict[str, Any]) -> Any:
    """One network whose logit is the mean of its members'; members may differ in size.

    Args:
        networks: name and model of each member.
    """
    import keras

    size = max(network.input_shape[1] for network in networks.values())
    gray = keras.Input((size, size, 1), name="image")
    logits = []
    for name, network in networks.items():
        member = keras.Model(network.input, network.output, name=_plain(name))
        side = network.input_shape[1]
        resized = gray if side == size else keras.layers.Resizing(side, side, name=f"{member.name}_size")(gray)
        logits.append(member(resized))
    return keras.Model(gray, keras.layers.Average(name="logit")(logits), name="ensemble")


def activation_maps(network: Any) -> Any:
    """Explain a network: class activation maps, embeddings and logits of the same images.

    The map is the last feature maps weighed by the Dense layer (Zhou et al. 2016, "Learning Deep Features for
    Discriminative Localization"), bias included, so its mean over all pixels is the logit; for an ensemble the
    members' mean.

    Returns:
        A model: images -> (maps (n, h, w), embedding (n, d), logit (n, 1)).
    """
    import keras

    members = [layer for layer in network.layers if isinstance(layer, keras.Model) and _is_member(layer)]
    if not members:
        return keras.Model(network.input, _explained(network))
    parts = [activation_maps(member)(_member_input(network, member)) for member in members]
    height, width = max(maps.shape[1:3] for maps, _, _ in parts)
    grown = [keras.ops.image.resize(maps[..., None], (height, width))[..., 0] for maps, _, _ in parts]
    mean = keras.ops.mean(keras.ops.stack(grown), axis=0)
    embedding = keras.ops.concatenate([part[1] for part in parts], axis=-1)
    logit = keras.ops.mean(keras.ops.stack([part[2] for part in parts]), axis=0)
    return keras.Model(network.input, (mean, embedding, logit))


def _explained(network: Any) -> tuple[Any, Any, Any]:
    import keras

    if not _is_member(network):
        raise TrainingError(f"Expected a network of pneumo, got {network.name!r}: it lacks the layers pool and logit.")
    pool, dense = network.get_layer("pool"), network.get_layer("logit")
    maps = keras.ops.cast(pool.input, "float32")
    weighed = keras.ops.einsum("nhwc,co->nhwo", maps, dense.kernel) + dense.bias
    return weighed[..., 0], pool.output, network.output


def _is_member(model: Any) -> bool:
    return {"pool", "logit"} <= {layer.name for layer in model.layers}


def _member_input(network: Any, member: Any) -> Any:
    size = f"{member.name}_size"
    return network.get_layer(size).output if size in {layer.name for layer in network.layers} else network.input


def _plain(name: str) -> str:
    return name.replace(" ", "_").replace(".", "_")
