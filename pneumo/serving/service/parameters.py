"""Parameters in a request's address: a wrong value or name is refused in one sentence, never left out of account."""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field


class NoParameters(BaseModel):
    """Refuses every parameter that is not named: a misspelt threshold must not become the default one."""

    model_config = ConfigDict(extra="forbid")


class Scoring(NoParameters):
    """Parameters of a request that scores images."""

    threshold: float | None = Field(None, ge=0, le=1, description="Of the label; default: the version's own")


def refuse_in_one_sentence(app: FastAPI) -> None:
    """Tell of wrong values as of all else that is refused: a sentence in `detail`, without the value."""

    @app.exception_handler(RequestValidationError)
    async def refuse(_: object, error: RequestValidationError) -> JSONResponse:
        wrong = "; ".join(f"{str(item['loc'][-1])[:50]}: {item['msg']}" for item in error.errors()[:3])
        told = f"Expected parameters as /openapi.json describes them, but {wrong}: correct it or leave it out."
        return JSONResponse({"detail": told}, 422)
