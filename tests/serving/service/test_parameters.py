"""A wrong parameter is refused in one sentence, and none is left out of account."""

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pneumo.serving.service.api import create_app
from tests.serving.service.conftest import LIMITS


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Of a service without a model: what is tested here is refused before one is asked."""
    model: Any = SimpleNamespace(version=None, problem="", note="")
    record: Any = SimpleNamespace()
    return TestClient(create_app(model, LIMITS, None, ["testserver"], record))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/v1/predict?threshold=2", "but threshold: Input should be less than or equal to 1: correct it"),
        ("/v1/predict?threshold=high", "but threshold: Input should be a valid number"),
        ("/v1/predict?treshold=0.3", "but treshold: Extra inputs are not permitted: correct it or leave it out."),
        ("/v1/feedback?reader=A", "but reader: Extra inputs are not permitted: correct it or leave it out."),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_sentence(client: TestClient, address: str, words: str) -> None:
    reply = client.post(address, content=b"x", headers={"Content-Type": "image/png"})
    assert reply.status_code == 422
    assert reply.json()["detail"].startswith("Expected ") and words in reply.json()["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [("", "...]}, but Invalid JSON: EOF"), ('{"image": "x"}', "but images: Field required; image: Extra inputs are")],
)
def test_json_of_another_form_is_refused_with_the_place_where_there_is_one(
    client: TestClient, body: str, words: str
) -> None:
    reply = client.post("/v1/predict", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422 and words in reply.json()["detail"]


def test_feedback_of_the_future_is_refused(client: TestClient) -> None:
    item = {"image": "0" * 32, "label": "NORMAL", "time": "2999-01-01T00:00:00Z"}
    reply = client.post("/v1/feedback", json={"feedback": [item]})
    assert reply.status_code == 422
    assert "feedback.0.time: expected a time that is not in the future" in reply.json()["detail"]
