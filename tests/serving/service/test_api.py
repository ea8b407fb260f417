"""The service as its clients see it."""

import base64
import threading
from typing import Any

import httpx
import pytest

from pneumo.serving import answer_log, feedback
from tests.serving.service.conftest import LIMITS, NAME, post

pytestmark = pytest.mark.services


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
    assert [answer["image"] is None for answer in answers] == [True, False, False]
    assert answers[0]["error"].startswith("Expected an image as base64 text, but images.0 is another text: encode")
    assert "images.2 holds" in answers[2]["error"] or "images.2 cannot be decoded" in answers[2]["error"]
    (alone,) = post(service, b"no image").json()["answers"]
    assert "but this image cannot be decoded" in alone["error"] and "export it again" in alone["error"]
    assert answers[1]["probability"] == pytest.approx(post(service, image).json()["answers"][0]["probability"])


def test_the_threshold_of_a_request_decides_its_label(service, image):
    labels = [post(service, image, params={"threshold": limit}).json()["answers"][0]["label"] for limit in (0, 1)]
    assert labels == ["PNEUMONIA", "NORMAL"]


def test_every_answer_is_kept_and_counted_and_gives_the_hash_that_it_is_kept_by(service, image):
    before = len(answer_log.read(service.home)[0])
    reply = post(service, image).json()
    kept = answer_log.read(service.home)[0].iloc[before:].iloc[0]
    assert (kept["model"], kept["version"], kept["source"]) == (NAME, reply["version"], "http") and kept["seconds"] > 0
    assert kept["image"] == reply["answers"][0]["image"] and kept["probability"] == reply["answers"][0]["probability"]
    figures = service.client.get("/metrics").text
    assert f'pneumo_answers_total{{answer="{kept["label"]}",version="{kept["version"]}"}}' in figures
    assert "pneumo_model_ready 1.0" in figures


def test_what_readers_say_is_kept_once_and_an_image_that_was_never_answered_is_told(service, image):
    key = post(service, image).json()["answers"][0]["image"]
    said = [
        {"image": key, "label": "PNEUMONIA", "reader": "Dr. Zwetschgenbaum"},
        {"image": "0" * 32, "label": "NORMAL"},
    ]
    for first in ("kept", "known"):
        reply = service.client.post("/v1/feedback", json={"feedback": said})
        assert (reply.status_code, reply.json()) == (200, {"outcomes": [first, "unknown image"]})
    assert feedback.agreed(service.home)[0].labels.to_dict() == {key: "PNEUMONIA"}
    (file,) = (service.home / feedback.FOLDER).iterdir()
    assert "Zwetschgenbaum" not in file.read_text()


def test_feedback_that_cannot_be_kept_is_told_without_the_place(service, monkeypatch):
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device", "/home/jane/feedback")

    monkeypatch.setattr(feedback.FeedbackLog, "add", full)
    reply = service.client.post("/v1/feedback", json={"feedback": [{"image": "0" * 32, "label": "NORMAL"}]})
    assert reply.status_code == 503 and "jane" not in reply.text


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


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/feedback", "/metrics"])
@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic YTpi"])
def test_without_the_token_nothing_is_answered(service, image, path, header):
    method = "GET" if path == "/metrics" else "POST"
    reply = service.client.request(method, path, headers={"Authorization": header}, content=image)
    assert reply.status_code == 401


def test_health_and_the_description_need_no_login(service):
    for path in ("/live", "/ready", "/openapi.json"):
        assert service.client.get(path, headers={"Authorization": ""}).status_code == 200
    described = service.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    assert set(described["requestBody"]["content"]) >= {"image/jpeg", "application/dicom", "application/json"}


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
