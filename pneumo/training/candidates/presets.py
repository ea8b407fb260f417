"""Presets: how much time a run takes, and what it does in that time."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from pneumo.records.base import Record
from pneumo.training.candidates.spec import CandidateSpec, candidate_specs

Name = Literal["quick", "standard", "best"]
USUAL = ("MobileNetV2", "MobileNet", "MobileNetV3Small")


class Preset(Record):
    """Settings of a run unless its parameters say otherwise; docs/training.md has times and figures."""

    backbones: tuple[str, ...]
    weights: str
    size: int
    epochs: int
    folds: int = Field(1, description="Networks of each backbone, each trained without one part of the patients")
    views: int = Field(2, description="Of an image: the whole and its middle, averaged")


REAL: dict[Name, Preset] = {
    # Only a linear head on frozen features: a first result, and a check of the data.
    "quick": Preset(backbones=("MobileNetV3Small",), weights="imagenet", size=160, epochs=0),
    "standard": Preset(backbones=USUAL, weights="imagenet", size=160, epochs=3),
    # Every image outside the test set trains two of the three networks, and the third scores it for calibration.
    "best": Preset(backbones=USUAL, weights="imagenet", size=160, epochs=5, folds=3),
}
# From scratch on a few hundred small images: narrow backbones, short epochs, many of them.
PHANTOM: dict[Name, Preset] = {
    "quick": Preset(backbones=("MobileNet:0.25",), weights="none", size=96, epochs=16),
    "standard": Preset(backbones=("MobileNet:0.25", "MobileNet:0.5"), weights="none", size=96, epochs=12),
    "best": Preset(backbones=("MobileNet:0.25", "MobileNet:0.5"), weights="none", size=96, epochs=12, folds=3),
}


def preset(name: Name, synthetic: bool) -> Preset:
    """The preset of a name, for the phantom set or for real images."""
    return (PHANTOM if synthetic else REAL)[name]


# Parameters of the flow `train` that the specs take, by their names there.
SAME = ("backbones", "weights", "epochs", "seed", "precision", "learning_rate", "augmentation", "batch_size")
PARAMETERS = {name: name for name in SAME} | {"image_size": "size"}


def specs_of(recipe: Mapping[str, Any], synthetic: bool) -> tuple[CandidateSpec, ...]:
    """`preset_specs` of the parameters of the flow `train`; those that a recipe lacks are as usual."""
    given = {PARAMETERS[name]: value for name, value in recipe.items() if name in PARAMETERS}
    return preset_specs(recipe["preset"], synthetic, **given)


def preset_specs(
    name: Name,
    synthetic: bool,
    *,
    backbones: str | Sequence[str] | None = None,
    weights: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    **options: Any,
) -> tuple[CandidateSpec, ...]:
    """One spec for each backbone; what is not given is taken from the preset.

    Args:
        options: further fields of `CandidateSpec`; None leaves a field as it is.

    Raises:
        TrainingError: a backbone or an option is wrong; the message names it.
    """
    usual = preset(name, synthetic)
    given = {field: value for field, value in options.items() if value is not None}
    return candidate_specs(
        backbones or usual.backbones,
        weights or usual.weights,
        size or usual.size,
        usual.epochs if epochs is None else epochs,
        seed,
        **{"folds": usual.folds, "views": usual.views, **given},
    )
