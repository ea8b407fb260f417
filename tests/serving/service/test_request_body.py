"""What a request may bring, and how it is told what was expected."""

import pytest

from tests.serving.service.conftest import post

pytestmark = pytest.mark.services


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


ITEM = b'{"image": "%s", "label": "NORMAL"}' % (b"a" * 32)


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"x" * (2**20 + 1), "application/json", 413, "at most 1 MiB"),
        (b'{"feedback": [' + b",".join([ITEM] * 4) + b"]}", "application/json", 413, "at most 3 feedback, got 4"),
        (b'{"feedback": [' + b"0," * 500_000 + b"0]}", "application/json", 413, "more than 26 commas"),
        (b'{"feedback": [' + ITEM.replace(b"NORMAL", b"healthy") + b"]}", "application/json", 422, "feedback.0.label"),
        (b'{"feedback": [{"image": "/etc/passwd", "label": "NORMAL"}]}', "application/json", 422, "feedback.0.image"),
        (b'{"feedback": []}', "application/json", 422, "feedback"),
        (b'{"feedback": [' + ITEM + b"]}", "text/plain", 415, "text/plain"),
    ],
)
def test_feedback_of_another_form_is_told_what_was_expected(service, body, kind, status, words):
    reply = service.client.post("/v1/feedback", content=body, headers={"Content-Type": kind})
    assert reply.status_code == status and words in reply.json()["detail"] and len(reply.content) < 400
