"""The backbones of `keras.applications`, and the pixel scaling that each expects."""

import difflib
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

from pneumo.errors import TrainingError

UNIT = (1 / 127.5, -1.0)  # 0..255 to -1..1
RAW = (1.0, 0.0)  # scaled by layers inside the backbone
CAFFE = (1.0, (-103.939, -116.779, -123.68))  # minus ImageNet's mean; channels of gray are equal
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of 0..1
TORCH = (
    tuple(1 / (255 * deviation) for deviation in DEVIATION),
    tuple(-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)),
)

# What `preprocess_input` of each keras.applications module does, as (scale, offset).
SCALING: dict[str, Any] = {
    "convnext": RAW,
    "densenet": TORCH,
    "efficientnet": RAW,
    "efficientnet_v2": RAW,
    "inception_resnet_v2": UNIT,
    "inception_v3": UNIT,
    "mobilenet": UNIT,
    "mobilenet_v2": UNIT,
    "mobilenet_v3": RAW,
    "nasnet": UNIT,
    "resnet": CAFFE,
    "resnet_v2": UNIT,
    "vgg16": CAFFE,
    "vgg19": CAFFE,
    "xception": UNIT,
}
WITH_ALPHA = {"mobilenet", "mobilenet_v2", "mobilenet_v3"}


@cache
def available() -> dict[str, str]:
    """Module by backbone name, read from the source of keras.applications, since importing Keras takes seconds."""
    package = importlib.util.find_spec("keras")
    if package is None or package.origin is None:
        raise TrainingError("Expected Keras to be installed, found none: run `make train`.")
    source = Path(package.origin).with_name("applications") / "__init__.py"
    pairs = re.findall(r"keras\.src\.applications\.(\w+) import \(?\s*(\w+) as", source.read_text(encoding="utf-8"))
    return {name: module for module, name in pairs if module in SCALING}


def module_of(name: str) -> str:
    """The keras.applications module of a backbone, such as mobilenet_v2.

    Raises:
        TrainingError: there is no such backbone; the message lists near matches.
    """
    known = available()
    if name not in known:
        lower = {item.lower(): item for item in known}
        near = [lower[item] for item in difflib.get_close_matches(name.lower(), lower, n=4, cutoff=0.5)]
        hint = f"did you mean {', '.join(near)}?" if near else f"known are {', '.join(sorted(known))}."
        raise TrainingError(f"Expected a backbone of keras.applications, got {name!r}: {hint}")
    return known[name]


def takes_alpha(name: str) -> bool:
    """Whether the backbone has a width multiplier."""
    return module_of(name) in WITH_ALPHA


def build(name: str, alpha: float | None, size: int, weights: str | None = None) -> Any:
    """The backbone as a Keras model: (n, size, size, 3), scaled by `SCALING`, -> feature maps (n, h, w, channels).

    Args:
        weights: "imagenet" lets Keras fetch them; None starts at random, for a weight file to be loaded.

    Raises:
        TrainingError: the backbone refuses this size or alpha.
    """
    import keras

    options = {} if alpha is None else {"alpha": alpha}
    try:
        model = getattr(keras.applications, name)(
            input_shape=(size, size, 3), include_top=False, weights=weights, **options
        )
    except ValueError as error:
        raise TrainingError(
            f"Expected options that {name} takes, got size {size} and alpha {alpha}: {error}"
        ) from error
    model.name = "backbone"  # only now: by the name Keras finds weights of EfficientNet and ConvNeXt, and blocks of V2
    return model
