"""A real service: a real registry, a server, the model in its own process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from pneumo.serving.service import server
from pneumo.serving.service.api import create_app
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.record import ServiceRecord
from pneumo.settings.servers import Serve
from pneumo.tracking import Tracker

TOKEN = "a-token-of-the-tests"
NAME, ALIAS = "lungs-served", "champion"
LIMITS = Serve(images=3, request_mb=1, body_seconds=2, waiting=2)


@pytest.fixture(scope="module")
def registry(mlflow_server: str, bundle_folder: Any, tiny: Any) -> Any:
    """Two versions of one model; the first is champion."""
    tracker = Tracker(mlflow_server, "service")
    for _ in range(2):
        uri = tracker.bundles.log(tracker.runs.start("run"), bundle_folder, "tiny", tiny.encoded(tiny.pictures(1)[0]))
        tracker.registry.register(uri, NAME)
    tracker.registry.set_alias(NAME, ALIAS, "1")
    return tracker


@pytest.fixture(scope="module")
def service(registry: Tracker, tmp_path_factory: Any) -> Iterator[Any]:
    """A server with a login that follows the alias; what it keeps is in the state folder `home`."""
    model = FollowedModel(lambda: (registry, registry.registry.resolve(f"models:/{NAME}@{ALIAS}")))
    model.update()
    home = tmp_path_factory.mktemp("home")
    record = ServiceRecord(home, b"secret" * 4, lambda *_, **__: None)
    app = create_app(model, LIMITS, TOKEN, ["127.0.0.1"], record)
    with running(app) as client:
        yield SimpleNamespace(client=client, model=model, home=home)
    model.close()


@contextmanager
def running(app: Any) -> Iterator[httpx.Client]:
    """A client of a server that runs during the block."""
    with server._listening(Serve(port=0)) as door:
        serving = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [door]})
        thread.start()
        login = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{door.getsockname()[1]}", headers=login, timeout=120) as client:
            yield client
        serving.should_exit = True
        thread.join()


@pytest.fixture
def image(tiny: Any) -> bytes:
    return tiny.encoded(tiny.pictures(1)[0])


def post(service: Any, body: bytes, kind: str = "image/png", **more: Any) -> httpx.Response:
    headers = {"Content-Type": kind, **more.pop("headers", {})}
    return service.client.post("/v1/predict", content=body, headers=headers, **more)
