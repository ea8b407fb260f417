"""Types of the flows' parameters, with the bounds and choices that Prefect's forms show."""

from typing import Annotated

from pydantic import AfterValidator, Field

from pneumo.training.candidates.spec import LARGEST_SEED, known_backbones

Backbone = Annotated[str, Field(pattern=r"^\w+(:[0-9.]+)?$")]
Backbones = Annotated[list[Backbone] | None, AfterValidator(known_backbones)]
Size = Annotated[int | None, Field(ge=32, le=1024)]
Epochs = Annotated[int | None, Field(ge=0, le=1000)]
Rate = Annotated[float | None, Field(gt=0, le=1)]
Strength = Annotated[float | None, Field(ge=0, le=3)]
Batch = Annotated[int | None, Field(ge=1, le=1024)]
Places = Annotated[list[str] | None, Field(min_length=1)]
Minutes = Annotated[float, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]

Calibrate = Annotated[int | None, Field(ge=1)]
Prevalence = Annotated[float | None, Field(gt=0, lt=1)]
Model = Annotated[str | None, Field(pattern=r"^models:/[^/@]+[/@].+$")]
Paths = Annotated[list[str], Field(min_length=1)]
Out = Annotated[str | None, Field(pattern=r"\.(csv|parquet)$")]
Threshold = Annotated[float | None, Field(ge=0, le=1)]
Version = Annotated[int | None, Field(ge=1)]
