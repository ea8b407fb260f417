"""Types of a run's parameters, with the bounds and choices that Prefect's form shows."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pneumo.training.candidates.spec import known_backbones

Backbone = Annotated[str, Field(pattern=r"^\w+(:[0-9.]+)?$")]
Backbones = Annotated[list[Backbone] | None, AfterValidator(known_backbones)]
Size = Annotated[int | None, Field(ge=32, le=1024)]
Epochs = Annotated[int | None, Field(ge=0, le=1000)]
Rate = Annotated[float | None, Field(gt=0, le=1)]
Strength = Annotated[float | None, Field(ge=0, le=3)]
Batch = Annotated[int | None, Field(ge=1, le=1024)]
Places = Annotated[list[str] | None, Field(min_length=1)]
Minutes = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0)]
