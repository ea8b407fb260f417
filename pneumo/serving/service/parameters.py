"""Parameters in a request's address: a wrong value or name is refused in one sentence, never left out of account."""

from collections.abc import Callable

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


def only(*names: str) -> Callable[[Request], None]:
    """A dependency that refuses parameters of other names: a misspelt threshold must not become the default one."""

    def require(request: Request) -> None:
        if others := sorted(set(request.query_params) - set(names)):
            expected = f"no parameter but {', '.join(names)}" if names else "no parameters"
            raise HTTPException(422, f"Expected {expected}, got {others[0][:50]!r}: correct its name or leave it out.")

    return require


def refuse_in_one_sentence(app: FastAPI) -> None:
    """Tell of wrong values as of all else that is refused: a sentence in `detail`, without the value."""

    @app.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in error.errors()[:3])
        return JSONResponse({"detail": f"Expected parameters as /openapi.json describes them, but {wrong}."}, 422)
