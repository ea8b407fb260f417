"""The network: one Keras model of built-in layers from gray pixels to a logit."""

from typing import Any

from pneumo.records.base import VIEWS
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.networks.backbones import SCALING, module_of

# Momentum at which batch statistics adapt within an epoch of a few hundred images; Keras's default is for millions.
FAST_MOMENTUM = 0.8
CENTRE_SHARE = 0.85  # share of a side that the second view shows


def build(spec: CandidateSpec, backbone: Any) -> Any:
    """Put pixel scaling before a backbone, and pooling and one Dense unit behind it.

    With pretrained weights batch normalisation always stays in inference mode, because its statistics come from far
    more images than there are here. `training=False` would not do: in `fit`, Keras 3 overrides it. So it is folded into
    the convolutions, and the first layers are frozen as the spec says.

    Returns:
        A model: float32 (n, size, size, 1) in 0..255 -> float32 logit (n, 1).
    """
    import keras

    from pneumo.training.networks.folding import fold  # imports Keras

    scale, offset = SCALING[module_of(spec.backbone.name)]
    gray = keras.Input((spec.size, spec.size, 1), name="image")
    channels = keras.layers.Concatenate(name="channels")([gray, gray, gray])
    scaled = keras.layers.Rescaling(scale, offset, name="scaling")(channels)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not spec.pretrained
            layer.momentum = layer.momentum if spec.pretrained else FAST_MOMENTUM
    freeze(backbone, spec.freeze)
    backbone = fold(backbone) if spec.pretrained else backbone
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(backbone(scaled))
    logit = keras.layers.Dense(1, dtype="float32", name="logit")(pooled)
    return keras.Model(gray, logit, name=_plain(spec.name))


def freeze(backbone: Any, share: float) -> None:
    """Freeze `share` of a backbone's layers, 0 to 1, counted from the input; the others are trained."""
    for layer in backbone.layers[: round(share * len(backbone.layers))]:
        layer.trainable = False


def finished(network: Any) -> Any:
    """A trained network as it is judged, kept and served: float32, layers of Keras alone, normalisation folded in."""
    import keras

    from pneumo.training.networks.folding import fold, in_full_precision, unfold

    def finish(layer: Any) -> Any:
        return unfold(fold(layer)) if isinstance(layer, keras.Model) else in_full_precision(layer)

    clone = keras.models.clone_model(network, clone_function=finish)
    clone.get_layer("logit").set_weights(network.get_layer("logit").get_weights())
    return clone


def averaged_over_views(network: Any) -> Any:
    """A network whose logit is the mean of another's logits of the whole image and of its middle.

    Test-time augmentation is a part of the model, so that the model is served as it was judged. Embedding and class
    activation map are those of the whole image (`pneumo.serving.bundle.class_activation`).
    """
    import keras

    size = network.input_shape[1]
    gray = keras.Input((size, size, 1), name="image")
    middle = keras.layers.Cropping2D(round(size * (1 - CENTRE_SHARE) / 2), name="middle")(gray)
    enlarged = keras.layers.Resizing(size, size, name="enlarged")(middle)
    logit = keras.layers.Average(name=VIEWS)([network(gray), network(enlarged)])
    return keras.Model(gray, logit, name=f"{network.name}_{VIEWS}")


def combine(networks: dict[str, Any]) -> Any:
    """One network whose logit is the mean of its members' logits; members may differ in image size.

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


def _plain(name: str) -> str:
    return name.replace(" ", "_").replace(".", "_")
