"""Sections `tracking`, `services`, `serve`, `pool` and `engine` of mlflow.yaml: servers, and where work is done."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pneumo.settings.section import Address, Page, Section


class Tracking(Section):
    """Where runs are tracked."""

    uri: Address = Field(None, description="MLflow tracking server; empty: the embedded one")
    page: Page = Field(None, description="Where a browser opens it; empty: at `uri`")
    experiment: str = "pneumonia"


class Services(Section):
    """Addresses of the embedded servers."""

    host: str = Field("127.0.0.1", description="Address to listen on; other than loopback: logins are required")
    names: tuple[str, ...] = Field((), description="Other names by which this machine is reached")
    prefect_page: Page = Field(None, description="Where a browser opens Prefect; empty: its API's")
    prefect_port: int = Field(4200, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)


class Serve(Section):
    """The service that scores X-rays over HTTP; its login is a secret and comes from PNEUMO_SERVE_TOKEN alone."""

    host: str = Field(
        "127.0.0.1", description="Address to listen on; other than loopback: PNEUMO_SERVE_TOKEN is required"
    )
    names: tuple[str, ...] = Field((), description="Other names by which this machine is called")
    port: int = Field(5001, ge=0, le=65535)
    follow_seconds: float = Field(15, gt=0, le=60, description="Seconds between two looks at the champion's alias")
    images: int = Field(64, ge=1, description="Most images in one request")
    request_mb: int = Field(64, ge=1, description="Largest request, in MiB")
    body_seconds: float = Field(30, gt=0, description="Seconds within which a request must have arrived")
    uncertain: bool = Field(False, description="Whether UNCERTAIN may be an answer; in batch it is a column")
    shadow: str | None = Field(
        None,
        coerce_numbers_to_str=True,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Alias or number of a version that scores the same images, unseen by clients",
    )
    waiting: int = Field(16, ge=1, le=32, description="Requests at the same time; a further one is answered with 429")


class Pool(Section):
    """Where flow runs start."""

    type: Literal["process", "kubernetes"] = "process"
    runs_at_once: int = Field(1, ge=1, description="Trainings that run at the same time, over all workers")
    template: Path | None = Field(None, description="Base job template of a Kubernetes pool")
    variables: dict[str, Any] = Field({}, description="Values for the template's variables")


class Engine(Section):
    """Where trainings run, and what a cluster gives each of them."""

    address: str = Field("processes", pattern=r"^(processes|auto|ray://[^/]+)$")
    at_once: int | None = Field(None, ge=1)
    cpus: int = Field(1, ge=1)
    gpus: float = Field(0, ge=0)
    memory_gib: float = Field(3, gt=0)

    @property
    def elsewhere(self) -> bool:
        """Whether trainings run on a cluster."""
        return self.address != "processes"
