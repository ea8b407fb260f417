"""The HTTP interface: requests with a login and limits, answers as JSON, health, metrics."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.middleware.trustedhost import TrustedHostMiddleware

from pneumo.errors import PneumoError
from pneumo.records.base import UNCERTAIN
from pneumo.serving.feedback import Outcome
from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.parameters import NoParameters, Scoring, refuse_in_one_sentence
from pneumo.serving.service.prometheus_metrics import Metrics
from pneumo.serving.service.record import ServiceRecord
from pneumo.serving.service.request_body import Ask, body_schema, images_of, labels_of, labels_schema
from pneumo.serving.service.request_limits import read_body, turn
from pneumo.serving.service.shadow import Shadow
from pneumo.settings.servers import Serve
from pneumo.tracking import ModelVersion

Proceed = Callable[[Request], Awaitable[Response]]
LOGIN = HTTPBearer(auto_error=False, description="The value of PNEUMO_SERVE_TOKEN on the server")


class Replied(Answer):
    """An answer; `image` is the keyed hash by which feedback on it is known, None for a text that is no image."""

    image: str | None


class Reply(BaseModel):
    """An answer per image, in their order, and the version that gave them."""

    model: str
    version: str
    answers: list[Replied]
    note: str = ""


class Received(BaseModel):
    """What became of each item of feedback, in their order."""

    outcomes: list[Outcome]


def create_app(
    model: FollowedModel,
    limits: Serve,
    token: str | None,
    hosts: Sequence[str],
    record: ServiceRecord,
    shadow: Shadow | None = None,
) -> FastAPI:
    """The service.

    Args:
        token: that requests must bring; None: no login.
        hosts: names by which requests may call this server, against pages that rebind theirs to loopback.
        record: keeps the answers and the feedback.
        shadow: is offered what was answered.
    """
    # No page of FastAPI's own: they load scripts from addresses that a hospital does not reach.
    app = FastAPI(title="pneumo", description="Not a medical device.", docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    metrics = Metrics(model, shadow)
    login = [Depends(_login(token))]

    app.middleware("http")(_counting(metrics))
    refuse_in_one_sentence(app)

    @app.post("/v1/predict", dependencies=login, openapi_extra=body_schema(limits), summary="Score X-rays")
    async def predict(request: Request, after: BackgroundTasks, given: Annotated[Scoring, Query()]) -> Reply:
        """Score one image (its bytes as the body) or several (JSON, base64)."""
        with turn(metrics, limits):
            kind = request.headers.get("content-type", "")
            ask = Ask.of(await read_body(request, limits), kind, given.threshold, limits)
            begun = time.monotonic()
            try:
                version, images, answers = await run_in_threadpool(_answer, model, ask)
            except PneumoError as error:
                raise HTTPException(503, str(error), {"Retry-After": "10"}) from None
            seconds = time.monotonic() - begun
            told = [_told(answer) for answer in answers]
            metrics.add(version, told, seconds)
            hashes = await asyncio.to_thread(record.keep, version, images, answers, seconds)
        if shadow:
            after.add_task(shadow.offer, version, images, hashes, answers, ask.threshold)
        named = zip(images, told, hashes, strict=True)
        rows = [Replied(**answer.model_dump(), image=key if image else None) for image, answer, key in named]
        return Reply(model=version.name, version=version.version, answers=rows, note=model.note)

    _take_feedback(app, login, metrics, limits, record)

    _tell_health(app, model, shadow)

    @app.get("/metrics", dependencies=login, summary="Figures for Prometheus")
    async def figures() -> Response:
        return Response(metrics.text(), media_type=metrics.media_type)

    return app


def _tell_health(app: FastAPI, model: FollowedModel, shadow: Shadow | None) -> None:
    @app.get("/live", summary="Whether the server runs")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready", summary="Whether a model answers, and which")
    async def ready(response: Response) -> dict[str, str]:
        version = model.version
        response.status_code = 200 if version else 503
        served = {"model": version.name, "version": version.version} if version else {}
        beside = {"shadow": shadow.words} if shadow else {}
        status = "ready" if version else "loading"
        return {"status": status, **served, "problem": model.problem, "note": model.note, **beside}


def _take_feedback(app: FastAPI, login: list[Any], metrics: Metrics, limits: Serve, record: ServiceRecord) -> None:
    @app.post(
        "/v1/feedback", dependencies=login, openapi_extra=labels_schema(limits), summary="Say what an image shows"
    )
    async def feedback(request: Request, _: Annotated[NoParameters, Query()]) -> Received:
        """Keep what readers said of images that were answered (JSON)."""
        with turn(metrics, limits):
            given = labels_of(await read_body(request, limits), request.headers.get("content-type", ""), limits)
            try:
                return Received(outcomes=await run_in_threadpool(record.take, given))
            except PneumoError as error:
                raise HTTPException(503, str(error), {"Retry-After": "10"}) from None


def _counting(metrics: Metrics) -> Callable[[Request, Proceed], Awaitable[Response]]:
    async def count(request: Request, proceed: Proceed) -> Response:
        status = 500  # what an error that nobody foresaw becomes behind this
        try:
            response = await proceed(request)
            status = response.status_code
        finally:
            metrics.requests.labels(str(status)).inc()
        return response

    return count


def _login(token: str | None) -> Callable[..., None]:
    def require(given: Annotated[HTTPAuthorizationCredentials | None, Depends(LOGIN)]) -> None:
        if token is None:
            return
        if given is None or not secrets.compare_digest(given.credentials.encode(), token.encode()):
            raise HTTPException(
                401, "Expected the token of this server: Authorization: Bearer ...", {"WWW-Authenticate": "Bearer"}
            )

    return require


def _told(answer: Answer) -> Answer:
    """The answer as a client gets it; kept is the label at the threshold, since figures of labels know no third one."""
    return answer.model_copy(update={"label": UNCERTAIN}) if answer.uncertain else answer


def _answer(model: FollowedModel, ask: Ask) -> tuple[ModelVersion, list[bytes], list[Answer]]:
    """The answers to all images; one that is no base64 costs its own answer only."""
    images = images_of(ask)
    version, scored = model.score([image for image in images if isinstance(image, bytes)], ask.threshold)
    left = enumerate(scored)
    answers: list[Answer] = []
    for place, image in enumerate(images):  # the model counts without those that are no base64
        row, said = next(left) if isinstance(image, bytes) else (place, image)
        answers.append(said.named(row, ask.name(place)))
    return version, [image if isinstance(image, bytes) else b"" for image in images], answers
