import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import notify
from pneumo.operations.notify import Message

MESSAGE = Message(kind="promotion", title="version 3 is champion", text="it is better", link="http://mlflow/3")


@pytest.fixture
def webhook(monkeypatch):
    """A webhook that answers with the status it is told, and keeps what it got."""
    got, statuses = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(notify.VARIABLE, f"http://127.0.0.1:{server.server_port}/services/SECRET")
    monkeypatch.setattr(notify.time, "sleep", lambda seconds: None)
    yield got, statuses
    server.shutdown()


def test_a_message_arrives_as_people_read_it(webhook):
    assert notify.post(MESSAGE)
    (body,) = webhook[0]
    assert body["text"] == "pneumo: version 3 is champion\nit is better\nhttp://mlflow/3"
    assert body["kind"] == "promotion"


def test_without_an_address_nothing_is_sent(monkeypatch):
    monkeypatch.delenv(notify.VARIABLE, raising=False)
    assert not notify.post(MESSAGE)


def test_it_is_tried_again(webhook):
    got, statuses = webhook
    statuses += [500, 503]
    assert notify.post(MESSAGE)
    assert len(got) == 3


def test_the_address_stands_in_no_error_and_no_log(webhook, caplog):
    webhook[1].extend([500] * 3)
    with caplog.at_level(logging.DEBUG), pytest.raises(ServiceError, match="HTTP status 500") as failed:
        notify.post(MESSAGE)
    assert "SECRET" not in str(failed.value) + caplog.text


def test_an_address_that_is_no_web_address_is_refused(monkeypatch):
    monkeypatch.setenv(notify.VARIABLE, "file:///etc/SECRET")
    with pytest.raises(SettingsError, match=notify.VARIABLE) as refused:
        notify.post(MESSAGE)
    assert "SECRET" not in str(refused.value)
