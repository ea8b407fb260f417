"""The sections of mlflow.yaml: typed, frozen, each field with its limits and default."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pneumo.records.base import MODALITIES

PAGE = "^https?://[^/]+"


class Section(BaseModel):
    """A part of mlflow.yaml; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_login(address: str | None) -> str | None:
    """An address stands in errors, logs, links and pages, so that it may hold no user or password."""
    if address and "@" in urlsplit(address).netloc:
        raise PydanticCustomError(
            "login", "expected an address without user and password, found one: give these in the environment"
        )
    return address


Address = Annotated[str | None, AfterValidator(_without_login)]


class Tracking(Section):
    """Where runs are tracked."""

    uri: Address = Field(None, description="MLflow tracking server; empty: the embedded one")
    page: str | None = Field(None, pattern=PAGE, description="Where a browser opens it; empty: at `uri`")
    experiment: str = "pneumonia"


class Registry(Section):
    """Names of registered models and aliases."""

    model: str = "pneumonia-classifier"
    phantom_model: str = "pneumonia-classifier-phantom"
    champion: str = "champion"
    challenger: str = "challenger"
    previous: str = "previous"
    accepted: str = Field("accepted", description="Alias of the version that `pneumo accept` accepted last")
    unverified: bool = Field(False, description="Whether to run versions whose files have no digest of pneumo's")


Judged = Literal["ROC AUC", "sensitivity", "specificity"]


class Promotion(Section):
    """What a challenger must show before it becomes champion."""

    target_sensitivity: float = Field(0.95, gt=0, lt=1)
    coverage: float = Field(0.95, gt=0.5, lt=1, description="Share of each class whose possible labels hold it")
    minimum_auc: float = Field(0.90, ge=0, le=1)
    minimum_sensitivity: float = Field(0.85, ge=0, le=1)
    minimum_specificity: float = Field(0.70, ge=0, le=1)
    maximum_calibration_error: float = Field(0.10, ge=0, le=1)
    maximum_slice_drop: float = Field(0.10, ge=0, le=1)
    maximum_latency_ms: float = Field(500, gt=0)
    maximum_model_mb: float = Field(500, gt=0)
    severity: dict[str, Literal["refuse", "warn"]] = Field({}, description="By gate; defaults in pneumo/registry")
    judge: dict[Judged, Literal["estimate", "lower_bound"]] = Field({}, description="Default: the estimate")
    tie: Literal["keep", "promote"] = "keep"
    maximum_comparisons: int = Field(20, ge=1, description="Most comparisons with champions on the same test images")
    embeddings_may_win: bool = Field(False, description="Whether a model of embeddings made elsewhere may be chosen")
    approval: bool = False
    approval_hours: float = Field(24, gt=0, description="Without an answer by then, the challenger is rejected")
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

    half_width: float = Field(0.05, gt=0, lt=0.5, description="Of the 95 % interval that the set should give")


class Gate(Section):
    """Severity of the data's expectations, and the share that may go to quarantine."""

    quarantine_limit: float = Field(0.01, ge=0, le=1)
    severity: dict[str, Literal["error", "warning"]] = {}
    patients_unknown_limit: int = Field(1000, ge=0, description="Largest set, in images, without known patients")


Column = Literal["path", "label", "subtype", "patient", "split"]


class Data(Section):
    """Where dataset versions are kept beside the state folder, and how sources are read: columns, patients."""

    storage: str | None = Field(None, pattern="^s3://[^/]+")
    storage_originals: bool = Field(False, description="Push files as they are, with the patients in their headers")
    s3_endpoint: Address = None
    columns: dict[Column, str] = {}
    patient_pattern: str | None = Field(
        None, description="Regular expression with a group (?P<patient>...), searched in each image's relative path"
    )

    dicom_modalities: tuple[Annotated[str, Field(pattern="^[A-Z]{2,16}$")], ...] = Field(
        MODALITIES, min_length=1, description="DICOM images of others are no chest X-rays; UNSTATED: that state none"
    )

    dicomweb_http: bool = Field(False, description="Whether dicomweb+http:// may go to other machines than this one")

    @field_validator("patient_pattern")
    @classmethod
    def _names_patient(cls, pattern: str | None) -> str | None:
        try:
            named = pattern is None or "patient" in re.compile(pattern).groupindex
        except re.error as error:
            raise PydanticCustomError(
                "pattern", "expected a regular expression, but {pattern} is none ({reason}): correct it",
                {"pattern": repr(pattern), "reason": str(error)},
            ) from None  # fmt: skip
        if not named:
            raise PydanticCustomError(
                "pattern",
                "expected a group (?P<patient>...), but {pattern} has none: add it",
                {"pattern": repr(pattern)},
            )
        return pattern


class Retrain(Section):
    """When the main job runs again by itself."""

    data: str | None = Field(None, description="Source; empty: that of the champion's run")
    cron: str | None = Field("0 2 * * 0", description="Schedule in UTC; empty: none")
    collision: Literal["wait", "cancel"] = Field("wait", description="When another training holds the slot")


class Watch(Section):
    """When new images, or answers, call for a retraining."""

    cron: str | None = "7 * * * *"
    new_images: int = Field(100, ge=1, description="New images, whatever their share")
    new_share: float = Field(0.1, gt=0, description="New images as a share of the champion's data set")
    drift: float = Field(0.25, gt=0, description="Of intensity, size or embedding; 0 is none")
    fewest: int = Field(30, ge=2, description="Fewest new images; with less, drift is noise and is not judged")
    answers_days: int = Field(30, ge=1, le=3650, description="Last days of answers that are judged")
    minimum_feedback: int = Field(30, ge=10, description="Images of each class with feedback; with less, no figures")
    minimum_realised_auc: float | None = Field(0.85, ge=0, le=1, description="Empty: not judged")
    minimum_realised_sensitivity: float | None = Field(0.80, ge=0, le=1, description="Empty: not judged")
    minimum_realised_specificity: float | None = Field(0.60, ge=0, le=1, description="Empty: not judged")
    out_of_distribution_rise: float = Field(0.10, gt=0, le=1, description="Of the share of answered images")


class Retention(Section):
    """What house-keeping keeps: the newest `runs`, and all that is younger than `days`."""

    apply: bool = Field(False, description="Whether the scheduled house-keeping deletes, or only lists it")
    cron: str | None = "30 4 * * *"
    days: float = Field(90, ge=1)
    runs: int = Field(20, ge=1)
    log_mb: float = Field(20, gt=0, description="Largest log of a server; beyond it the beginning is cut off")


class Notify(Section):
    """Who is told; a webhook's address is a secret and comes from PNEUMO_NOTIFY_WEBHOOK alone."""

    block: str | None = Field(None, pattern="^[^/]+/[^/]+$", description="Prefect block: slack-webhook/mine")
