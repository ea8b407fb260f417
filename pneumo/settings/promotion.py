"""Sections `registry`, `promotion` and `accept` of mlflow.yaml: names of versions, and what a version must show."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pneumo.settings.section import Section


def _free(alias: str) -> str:
    """Refuse what MLflow keeps for itself: it would refuse it only when a training has ended."""
    if alias == "latest" or re.fullmatch(r"[vV]\d+", alias):
        raise PydanticCustomError("alias", "expected another alias: MLflow keeps latest and v1, v2 ... for itself")
    return alias


Alias = Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$"), AfterValidator(_free)]
Model = Annotated[str, Field(pattern="^[^/:@]+$")]


class Registry(Section):
    """Names of registered models and aliases."""

    model: Model = "pneumonia-classifier"
    phantom_model: Model = "pneumonia-classifier-phantom"
    champion: Alias = "champion"
    challenger: Alias = "challenger"
    previous: Alias = "previous"
    accepted: Alias = Field("accepted", description="Alias of the version that `pneumo accept` accepted last")
    unverified: bool = Field(False, description="Whether to run versions whose files have no digest of pneumo's")

    @model_validator(mode="after")
    def _tells_apart(self) -> "Registry":
        aliases = (self.champion, self.challenger, self.previous, self.accepted)
        if self.model == self.phantom_model or len({*aliases}) < len(aliases):
            raise PydanticCustomError(
                "names", "expected two different models and four different aliases, found one name twice: rename one"
            )
        return self


Judged = Literal["ROC AUC", "sensitivity", "specificity"]


class Promotion(Section):
    """What a challenger must show before it becomes champion."""

    target_sensitivity: float = Field(0.95, gt=0, lt=1)
    coverage: float = Field(0.95, gt=0.5, lt=1, description="Of each class: true label is a possible one")
    minimum_auc: float = Field(0.90, ge=0, le=1)
    minimum_sensitivity: float = Field(0.85, ge=0, le=1)
    minimum_specificity: float = Field(0.70, ge=0, le=1)
    maximum_calibration_error: float = Field(0.10, ge=0, le=1)
    maximum_slice_drop: float = Field(0.10, ge=0, le=1)
    maximum_latency_ms: float = Field(500, gt=0)
    maximum_model_mb: float = Field(500, gt=0)
    severity: dict[str, Literal["refuse", "warn"]] = Field({}, description="By gate; defaults: docs/promotion.md")
    judge: dict[Judged, Literal["estimate", "lower_bound"]] = Field({}, description="Default: the estimate of a figure")
    tie: Literal["keep", "promote"] = "keep"
    maximum_comparisons: int = Field(20, ge=1, description="Most comparisons with champions on the same test images")
    embeddings_may_win: bool = Field(False, description="Whether a model of embeddings made elsewhere may be chosen")
    approval: bool = False
    approval_hours: float = Field(24, gt=0, le=8760, description="Without an answer by then, it is rejected")
    two_people: bool = Field(False, description="Whether approval must come from another person than the request")

    @model_validator(mode="after")
    def _asks_someone(self) -> "Promotion":
        if self.two_people and not self.approval:
            raise PydanticCustomError(
                "two_people", "expected approval: true beside two_people, found false: nobody would be asked, set both"
            )
        return self


class Accept(Section):
    """What a labelled set must give, from the place where a model is to be used."""

    half_width: float = Field(0.05, gt=0, lt=0.5, description="Of the 95 % interval of each figure, at most")
