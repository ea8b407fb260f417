"""Settings of a candidate's training: typed, frozen, and part of its key."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, ValidationError

from pneumo.errors import TrainingError
from pneumo.records.base import Record
from pneumo.training.networks.backbones import takes_alpha

LARGEST_SEED = 2**32 - 1  # of NumPy's global generator, which Keras seeds
Precision = Literal["float32", "mixed_bfloat16"]


class Backbone(Record):
    """A backbone's name and width multiplier."""

    name: str
    alpha: float | None = None

    def __str__(self) -> str:
        return self.name if self.alpha is None else f"{self.name} {self.alpha}"


class CandidateSpec(Record):
    """How one backbone is trained; every field is part of the key of its result."""

    backbone: Backbone
    weights: str = Field("imagenet", description='"imagenet", a folder, an s3:// address, or "none"')
    size: int = Field(160, ge=32, le=1024, description="Pixels a side")
    epochs: int = Field(3, ge=0, le=1000, description="Epochs of fine-tuning; 0: only the head on frozen features")
    patience: int = Field(3, ge=1, description="Epochs without a better validation score after which training stops")
    batch_size: int = Field(32, ge=1, le=1024)
    learning_rate: float = Field(3e-4, gt=0, le=1, description="Peak, after warm-up and before cosine decay")
    weight_decay: float = Field(1e-4, ge=0, le=1)
    label_smoothing: float = Field(0.05, ge=0, lt=0.5)
    ema_decay: float = Field(0.98, ge=0, lt=1, description="Of the moving average of weights; 0: none")
    subtype_weight: float = Field(
        0.3,
        ge=0,
        le=10,
        description="Of the loss of a second head, which tells viral from bacterial pneumonia; 0: none",
    )
    freeze: float = Field(0.35, ge=0, le=1, description="Share of the backbone's layers that stay frozen")
    augmentation: float = Field(1.5, ge=0, le=3, description="Strength; 0: none")
    crop: float = Field(1.0, gt=0, le=1, description="Smallest share of an image's area in augmentation; 1: all of it")
    folds: int = Field(1, ge=1, le=10, description="Networks, each trained without one part of the patients; 1: one")
    views: int = Field(1, ge=1, le=2, description="1: the whole image; 2: averaged with its middle")
    precision: Precision = Field("float32", description="What training computes in; the model is kept in float32")
    seed: int = Field(0, ge=0, le=LARGEST_SEED)

    @property
    def name(self) -> str:
        """The candidate's name: MobileNetV2 1.0."""
        return str(self.backbone)

    @property
    def pretrained(self) -> bool:
        """Whether training starts from weights of another task."""
        return self.weights != "none"


FROM_SCRATCH: dict[str, Any] = {
    "learning_rate": 2e-3, "ema_decay": 0.9, "patience": 24, "batch_size": 16, "augmentation": 0.3, "freeze": 0.0,
}  # fmt: skip


def parse_backbones(text: str | Sequence[str]) -> tuple[Backbone, ...]:
    """Read backbones such as "MobileNetV2:0.35, EfficientNetB0" (name, then a colon and alpha).

    Raises:
        TrainingError: an unknown name (with near matches), a bad alpha, one named twice, or none at all.
    """
    items = text.split(",") if isinstance(text, str) else text
    backbones = tuple(_backbone(item.strip()) for item in items if item.strip())
    if not backbones:
        raise TrainingError("Expected at least one backbone, got none: name one of keras.applications.")
    twice = sorted({str(item) for item in backbones if backbones.count(item) > 1})
    if twice:
        raise TrainingError(f"Expected each backbone once, got {', '.join(twice)} more than once: name it once.")
    return backbones


def known_backbones(names: list[str] | None) -> list[str] | None:
    """Check that each name is a backbone, and return the names unchanged: for a form, before any work is done.

    Raises:
        TrainingError: as in `parse_backbones`.
    """
    if names is not None:
        parse_backbones(names)
    return names


def candidate_specs(
    backbones: str | Sequence[str], weights: str, size: int, epochs: int, seed: int = 0, **options: Any
) -> tuple[CandidateSpec, ...]:
    """One spec for each backbone; weights "none" (from scratch) have another default of rate and average.

    Args:
        options: further fields of `CandidateSpec`.

    Raises:
        TrainingError: a backbone or an option is wrong; the message names it.
    """
    given = {**(FROM_SCRATCH if weights == "none" else {}), **options}
    fields = {"weights": weights, "size": size, "epochs": epochs, "seed": seed, **given}
    parsed = parse_backbones(backbones)
    try:
        return tuple(CandidateSpec(backbone=backbone, **fields) for backbone in parsed)
    except ValidationError as error:
        parts = [f"{'.'.join(map(str, item['loc']))}: {item['msg'].lower()}" for item in error.errors()]
        raise TrainingError(f"Expected training options in their bounds, got {'; '.join(parts)}.") from None


def _backbone(text: str) -> Backbone:
    name, _, alpha = text.replace(" ", ":").partition(":")
    if not takes_alpha(name):
        if alpha:
            raise TrainingError(f"Expected {name} without a width multiplier, got {text!r}: write {name}.")
        return Backbone(name=name)
    try:
        value = float(alpha or 1.0)
    except ValueError:
        value = 0.0
    if not 0 < value <= 4:
        raise TrainingError(f"Expected a width multiplier above 0 such as {name}:1.0, got {text!r}.")
    return Backbone(name=name, alpha=value)
