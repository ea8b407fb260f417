"""Sections `retrain`, `watch`, `retention` and `notify` of mlflow.yaml: what happens without anybody asking."""

from typing import Literal

from pydantic import Field

from pneumo.settings.section import Section


class Retrain(Section):
    """When the main job runs again by itself."""

    data: str | None = Field(None, description="Source; empty: that of the champion's run")
    cron: str | None = Field("0 2 * * 0", description="Schedule in UTC; empty: none")
    collision: Literal["wait", "cancel"] = Field("wait", description="When another training holds the slot")


class Watch(Section):
    """When new images, or answers, call for a retraining."""

    cron: str | None = "7 * * * *"
    new_images: int = Field(100, ge=1, description="New images that call for a retraining, whatever their share")
    new_share: float = Field(0.1, gt=0, description="The same, as a share of the champion's data set")
    drift: float = Field(0.25, gt=0, description="Drift of intensity, size or embedding that calls for one; 0 is none")
    fewest: int = Field(30, ge=2, description="Fewest new images; with fewer, drift is noise and is not judged")
    answers_days: int = Field(30, ge=1, le=3650, description="Last days of answers that are judged")
    minimum_feedback: int = Field(30, ge=10, description="Images of each class with feedback; with fewer, no figures")
    minimum_realised_auc: float | None = Field(0.85, ge=0, le=1, description="Empty: not judged")
    minimum_realised_sensitivity: float | None = Field(0.80, ge=0, le=1, description="Empty: not judged")
    minimum_realised_specificity: float | None = Field(0.60, ge=0, le=1, description="Empty: not judged")
    out_of_distribution_rise: float = Field(0.10, gt=0, le=1, description="Rise of their share of answers")


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
