"""The sections of mlflow.yaml: typed, frozen, each field with its limits and default."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pneumo.records.base import MODALITIES


class Section(BaseModel):
    """A part of mlflow.yaml; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tracking(Section):
    """Where runs are tracked."""

    uri: str | None = Field(None, description="MLflow tracking server; empty: the embedded one")
    experiment: str = "pneumonia"


class Registry(Section):
    """Names of registered models and aliases."""

    model: str = "pneumonia-classifier"
    phantom_model: str = "pneumonia-classifier-phantom"
    champion: str = "champion"
    challenger: str = "challenger"
    previous: str = "previous"
    accepted: str = Field("accepted", description="Alias of the version last accepted at a place: `pneumo accept`")
    unverified: bool = Field(False, description="Whether versions are run of whose files pneumo kept no digest")


Judged = Literal["ROC AUC", "sensitivity", "specificity"]


class Promotion(Section):
    """What a challenger must show before it becomes champion."""

    target_sensitivity: float = Field(0.95, gt=0, lt=1)
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
    maximum_comparisons: int = Field(20, ge=1, description="With champions on the same test images")
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
    """What is asked of a labelled set of the place where a model shall work."""

    half_width: float = Field(0.05, gt=0, lt=0.5, description="Of the 95 % interval that the set should give")


class Gate(Section):
    """Severity of data expectations and how much may be quarantined."""

    quarantine_limit: float = Field(0.01, ge=0, le=1)
    severity: dict[str, Literal["error", "warning"]] = {}
    patients_unknown_limit: int = Field(1000, ge=0, description="Images up to which a set with no known patient may be")


Column = Literal["path", "label", "subtype", "patient", "split"]


class Data(Section):
    """Where data versions are kept beside the state folder, and how images are read: columns, patients."""

    storage: str | None = Field(None, pattern="^s3://[^/]+")
    storage_originals: bool = Field(False, description="Push files as they are, with the patients in their headers")
    s3_endpoint: str | None = None
    columns: dict[Column, str] = {}
    patient_pattern: str | None = Field(
        None, description="Regular expression with a group (?P<patient>...), sought in each image's relative path"
    )

    dicom_modalities: tuple[Annotated[str, Field(pattern="^[A-Z]{2,16}$")], ...] = Field(
        MODALITIES, min_length=1, description="DICOM images of others are no chest X-rays; UNSTATED: that state none"
    )

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
    """When incoming images call for a retraining."""

    cron: str | None = "7 * * * *"
    new_images: int = Field(100, ge=1, description="New images, whatever their share")
    new_share: float = Field(0.1, gt=0, description="New images as a share of the champion's data set")
    drift: float = Field(0.25, gt=0, description="Of intensity, size or embedding; 0 is none")
    fewest: int = Field(30, ge=2, description="New images below which drift is noise and is not judged")


class Retention(Section):
    """What house-keeping keeps: the newest `runs`, and whatever is younger than `days`."""

    apply: bool = Field(False, description="Whether the scheduled house-keeping deletes, or only tells what it would")
    cron: str | None = "30 4 * * *"
    days: float = Field(90, ge=1)
    runs: int = Field(20, ge=1)
    log_mb: float = Field(20, gt=0, description="Of a server's log, beyond which its beginning is cut off")


class Notify(Section):
    """Who is told; a webhook's address is a secret and comes from PNEUMO_NOTIFY_WEBHOOK alone."""

    block: str | None = Field(None, pattern="^[^/]+/[^/]+$", description="Prefect block: slack-webhook/mine")


class Services(Section):
    """Addresses of the embedded servers."""

    host: str = Field("127.0.0.1", description="Other than loopback: logins are required")
    names: tuple[str, ...] = Field((), description="Other names by which this machine is reached")
    prefect_port: int = Field(4200, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)


class Pool(Section):
    """Where flow runs start."""

    type: Literal["process", "kubernetes"] = "process"
    runs_at_once: int = Field(1, ge=1, description="Trainings that run at the same time, over all workers")
    template: Path | None = Field(None, description="Base job template of a Kubernetes pool")
    variables: dict[str, Any] = Field({}, description="Values for the template's variables")


class Engine(Section):
    """Where trainings run, and what each of them is given by a cluster."""

    address: str = Field("processes", pattern=r"^(processes|auto|ray://[^/]+)$")
    cpus: int = Field(1, ge=1)
    gpus: float = Field(0, ge=0)
    memory_gib: float = Field(3, gt=0)

    @property
    def elsewhere(self) -> bool:
        """Whether trainings run on a cluster."""
        return self.address != "processes"
