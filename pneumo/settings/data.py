"""Sections `data` and `gate` of mlflow.yaml: how sources are read and kept, and which data set may be trained on."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from pneumo.records.dicom_modalities import MODALITIES
from pneumo.settings.section import Address, Section

Column = Literal["path", "label", "subtype", "patient", "split"]


class Data(Section):
    """Where dataset versions are kept beside the state folder, and how sources are read: columns, patients."""

    storage: str | None = Field(None, pattern="^s3://[^/]+")
    storage_originals: bool = Field(False, description="Push files as they are, with the patients in their headers")
    s3_endpoint: Address = None
    columns: dict[Column, str] = Field({}, description="Names of a label file's columns, by what pneumo calls them")
    patient_pattern: str | None = Field(
        None, description="Regular expression with a group (?P<patient>...), searched in each image's relative path"
    )

    dicom_modalities: tuple[Annotated[str, Field(pattern="^[A-Z]{2,16}$")], ...] = Field(
        MODALITIES, min_length=1, description="DICOM modalities that are taken; UNSTATED: files that state none"
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


class Gate(Section):
    """Severity of the data's expectations, and the share that may go to quarantine."""

    quarantine_limit: float = Field(0.01, ge=0, le=1)
    severity: dict[str, Literal["error", "warning"]] = Field({}, description="By name of an expectation")
    patients_unknown_limit: int = Field(1000, ge=0, description="Largest set, in images, without known patients")
