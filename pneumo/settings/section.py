"""What every section of mlflow.yaml is made of: a frozen class that refuses unknown keys, and types of addresses."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A part of mlflow.yaml; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_login(address: str | None) -> str | None:
    """Refuse an address with a user or password, since addresses are shown in errors, logs, links and pages."""
    if address and "@" in urlsplit(address).netloc:
        raise PydanticCustomError(
            "login", "expected an address without user and password, found one: give these in the environment"
        )
    return address


Address = Annotated[str | None, AfterValidator(_without_login)]
Page = Annotated[Annotated[str, Field(pattern="^https?://[^/]+")] | None, AfterValidator(_without_login)]
