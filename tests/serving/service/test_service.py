"""The service as its clients see it: a real server, a real registry, the model in its own process."""

import asyncio
import base64
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import HTTPException, Request

from pneumo.errors import ServiceError, SettingsError
from pneumo.service_sections import Serve
from pneumo.serving.service import followed_model, server
from pneumo.serving.service.api import create_app
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.request_body import read_body
from pneumo.tracking import Tracker

pytestmark = pytest.mark.services
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
def service(registry: Tracker) -> Iterator[Any]:
    """A server with a login that follows the alias; what it keeps of answers is in `kept`."""
    model = FollowedModel(registry, lambda: registry.registry.resolve(f"models:/{NAME}@{ALIAS}"))
    model.update()
    kept: list[Any] = []
    app = create_app(model, LIMITS, TOKEN, ["127.0.0.1"], lambda *answered: kept.append(answered))
    with server._listening(Serve(port=0)) as door:
        running = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [door]})
        thread.start()
        login = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{door.getsockname()[1]}", headers=login, timeout=120) as client:
            yield SimpleNamespace(client=client, model=model, kept=kept)
        running.should_exit = True
        thread.join()
    model.close()


@pytest.fixture
def image(tiny: Any) -> bytes:
    return tiny.encoded(tiny.pictures(1)[0])


def post(service: Any, body: bytes, kind: str = "image/png", **more: Any) -> httpx.Response:
    headers = {"Content-Type": kind, **more.pop("headers", {})}
    return service.client.post("/v1/predict", content=body, headers=headers, **more)


def test_one_image_is_answered_with_the_version_that_answered(service, image):
    reply = post(service, image)
    assert reply.status_code == 200
    (answer,) = reply.json()["answers"]
    assert (reply.json()["model"], reply.json()["version"]) == (NAME, service.model.version.version)
    assert 0 < answer["probability"] < 1 and answer["label"] in ("NORMAL", "PNEUMONIA") and answer["error"] is None


def test_a_bad_image_costs_its_own_answer_only_and_the_answers_keep_their_order(service, image):
    good = base64.b64encode(image).decode()
    reply = service.client.post("/v1/predict", json={"images": ["no base64!", good, base64.b64encode(b"x").decode()]})
    answers = reply.json()["answers"]
    assert [answer["probability"] is None for answer in answers] == [True, False, True]
    assert "base64" in answers[0]["error"] and answers[2]["error"]
    assert answers[1]["probability"] == pytest.approx(post(service, image).json()["answers"][0]["probability"])


def test_the_threshold_of_a_request_decides_its_label(service, image):
    labels = [post(service, image, params={"threshold": limit}).json()["answers"][0]["label"] for limit in (0, 1)]
    assert labels == ["PNEUMONIA", "NORMAL"]


def test_every_answer_is_kept_and_counted(service, image):
    service.kept.clear()
    post(service, image)
    ((version, images, answers, seconds),) = service.kept
    assert (version.name, images, len(answers)) == (NAME, [image], 1) and seconds > 0
    figures = service.client.get("/metrics").text
    assert f'pneumo_answers_total{{answer="{answers[0].label}",version="{version.version}"}}' in figures
    assert "pneumo_model_ready 1.0" in figures


def test_an_error_that_nobody_foresaw_is_counted_and_tells_nothing(service, image, monkeypatch):
    def fail(*_: Any) -> Any:
        raise KeyError("Jane Doe")

    monkeypatch.setattr(service.model, "score", fail)
    headers = {**service.client.headers, "Content-Type": "image/png"}
    reply = httpx.post(service.client.base_url.join("/v1/predict"), content=image, headers=headers)
    assert (reply.status_code, reply.text) == (500, "Internal Server Error")
    figures = httpx.get(
        service.client.base_url.join("/metrics"), headers=service.client.headers
    )  # uvicorn closed the other
    assert 'pneumo_requests_total{status="500"} 1.0' in figures.text


@pytest.mark.parametrize("path", ["/v1/predict", "/metrics"])
@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic YTpi"])
def test_without_the_token_nothing_is_answered(service, image, path, header):
    method = "POST" if path == "/v1/predict" else "GET"
    reply = service.client.request(method, path, headers={"Authorization": header}, content=image)
    assert reply.status_code == 401


def test_health_and_the_description_need_no_login(service):
    for path in ("/live", "/ready", "/openapi.json"):
        assert service.client.get(path, headers={"Authorization": ""}).status_code == 200
    described = service.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    assert set(described["requestBody"]["content"]) >= {"image/jpeg", "application/dicom", "application/json"}


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"x" * (2**20 + 1), "image/png", 413, "at most 1 MiB"),
        (b'{"images": ["", "", "", ""]}', "application/json", 413, "at most 3 images, got 4"),
        (b'{"images": [' + b"0," * 500_000 + b"0]}", "application/json", 413, "more than 8 commas"),
        (b'{"' + b"x" * 9000 + b'": 1}', "application/json", 422, "images"),
        (b'{"images": ["x"], "threshold": NaN}', "application/json", 422, "threshold"),
        (b'{"images": []}', "application/json", 422, "images"),
        (b'{"pictures": [""]}', "application/json", 422, "images"),
        (b"{", "application/json", 422, "JSON"),
        (b"<x/>", "application/xml", 415, "application/xml"),
    ],
)
def test_a_request_of_another_form_is_told_what_was_expected(service, body, kind, status, words):
    reply = post(service, body, kind)
    assert reply.status_code == status and words in reply.json()["detail"] and len(reply.content) < 400


def test_a_request_that_does_not_arrive_is_given_up(service):
    url = service.client.base_url
    words = (
        f"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n\r\nbeg"
    )
    with socket.create_connection((url.host, url.port), timeout=60) as line:
        line.sendall(words.encode())
        assert b" 408 " in line.recv(1000)


def test_a_client_that_goes_away_is_no_error_of_the_service():
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    request = Request({"type": "http", "method": "POST", "headers": []}, gone)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(read_body(request, LIMITS))
    assert refused.value.status_code == 400


def test_more_requests_than_may_wait_are_told_to_come_again(service, image):
    with service.model._turn:  # as if the model were busy
        waiting = [threading.Thread(target=post, args=(service, image)) for _ in range(LIMITS.waiting)]
        for thread in waiting:
            thread.start()
        while "pneumo_waiting_requests 2.0" not in service.client.get("/metrics").text:
            pass
        refused = post(service, image)
    for thread in waiting:
        thread.join()
    assert refused.status_code == 429 and refused.headers["Retry-After"]
    assert post(service, image).status_code == 200


def test_a_page_that_rebinds_its_name_to_loopback_is_refused(service):
    assert service.client.get("/ready", headers={"Host": "evil.example"}).status_code == 400


def test_the_next_champion_takes_over_without_a_lost_request(service, registry, image):
    replies: list[httpx.Response] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            replies.append(post(service, image))

    asking = threading.Thread(target=ask)
    asking.start()
    registry.registry.set_alias(NAME, ALIAS, "2")
    service.model.update()
    registry.registry.set_alias(NAME, ALIAS, "1")
    service.model.update()
    done.set()
    asking.join()
    versions = [reply.json()["version"] for reply in replies]
    assert {reply.status_code for reply in replies} == {200} and "2" in versions and versions[0] == "1"


def test_a_model_that_dies_is_told_of_and_started_again(service, image):
    service.model._loaded.process._process.kill()
    assert post(service, image).status_code == 503
    assert service.client.get("/ready").status_code == 503
    service.model.update()
    assert post(service, image).status_code == 200


def test_a_version_that_cannot_be_served_leaves_the_one_before_and_is_told_once(registry, image):
    told: list[str] = []
    wanted = "1"
    model = FollowedModel(registry, lambda: registry.registry.resolve(f"models:/{NAME}/{wanted}"))
    model.update()
    wanted = "99"
    for _ in range(2):
        model._try_update(told.append)
    assert model.version.version == "1" and model.score([image], None)[1][0].label
    assert len(told) == 1 and "models:/lungs-served/99" in model.problem
    model.close()


def test_what_is_loaded_while_the_service_ends_is_ended_too(registry, monkeypatch):
    ended: list[str] = []

    @contextmanager
    def slowly(_: Any, uri: str) -> Iterator[Any]:
        model.close()
        yield SimpleNamespace(input="image")
        ended.append(uri)

    model = FollowedModel(registry, lambda: registry.registry.resolve(f"models:/{NAME}/1"))
    monkeypatch.setattr(followed_model, "served", slowly)
    model.update()
    assert ended == [f"models:/{NAME}/1"] and model.version is None


def test_a_disk_that_refuses_the_next_version_is_told_and_following_goes_on(registry):
    def refuse() -> Any:
        raise OSError(28, "No space left on device")

    told: list[str] = []
    FollowedModel(registry, refuse)._try_update(told.append)
    assert told == ["[Errno 28] No space left on device"]


def test_a_service_that_is_told_to_end_leaves_neither_process_nor_files(monkeypatch):
    """As `kill` and systemd end it; the model's files are some hundred MB each time."""
    program = """
import os, signal, threading
from types import SimpleNamespace
from pneumo.service_sections import Serve
from pneumo.serving.service import api, server
from fastapi import FastAPI
class Model:
    version = None
    def __init__(self, *_): pass
    def update(self): pass
    def follow(self, *_): pass
    def close(self): print("ended")
server.FollowedModel, server._keeper = Model, lambda _: None
def app(*_):
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return FastAPI()
api.create_app = app
server.serve(SimpleNamespace(serve=Serve(port=0)), None, None)
"""
    monkeypatch.delenv(server.TOKEN, raising=False)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_an_address_of_version_six_is_asked_and_told_in_brackets():
    hosts = server._hosts(Serve(host="fd00::1", names=("XRays.Example",)))
    assert {"[::1]", "[fd00::1]", "xrays.example"} <= set(hosts)


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("0.0.0.0", None, "PNEUMO_SERVE_TOKEN"),
        ("127.0.0.1", "short", "at least 16 characters"),
        ("127.0.0.1", "schlüssel-der-klinik", "of ASCII"),
        ("127.0.0.1", "a-token-of-a-file-with-its-end\n", "of ASCII"),
    ],
)
def test_no_service_is_open_to_others_without_a_login(monkeypatch, host, token, words):
    monkeypatch.delenv(server.TOKEN, raising=False)
    if token:
        monkeypatch.setenv(server.TOKEN, token)
    with pytest.raises(SettingsError, match=words):
        server.required_token(Serve(host=host))


def test_an_address_that_is_taken_is_named():
    with server._listening(Serve(port=0)) as door, pytest.raises(ServiceError, match="to be free"):
        server._listening(Serve(port=door.getsockname()[1]))
