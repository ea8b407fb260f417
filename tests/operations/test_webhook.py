import logging

import pytest

from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import webhook as sender
from pneumo.operations.notification_texts import Message
from tests.webhook import Webhook

MESSAGE = Message(kind="promotion", title="version 3 is champion", text="it is better", link="http://mlflow/3")


@pytest.fixture
def webhook(monkeypatch):
    with Webhook() as webhook:
        monkeypatch.setenv(sender.VARIABLE, webhook.url)
        monkeypatch.setattr(sender.time, "sleep", lambda seconds: None)
        yield webhook


def test_a_message_arrives_as_people_read_it(webhook):
    assert sender.post(MESSAGE)
    (body,) = webhook.got
    assert body["text"] == "pneumo: version 3 is champion\nit is better\nhttp://mlflow/3"
    assert body["kind"] == "promotion"


def test_without_an_address_nothing_is_sent(monkeypatch):
    monkeypatch.delenv(sender.VARIABLE, raising=False)
    assert not sender.post(MESSAGE)


def test_it_is_tried_again(webhook):
    webhook.statuses += [500, 503]
    assert sender.post(MESSAGE)
    assert len(webhook.got) == 3


def test_the_address_stands_in_no_error_and_no_log(webhook, caplog):
    webhook.statuses += [500] * 3
    with caplog.at_level(logging.DEBUG), pytest.raises(ServiceError, match="HTTP status 500") as failed:
        sender.post(MESSAGE)
    assert "SECRET" not in str(failed.value) + caplog.text


def test_an_address_that_is_no_web_address_is_refused(monkeypatch):
    monkeypatch.setenv(sender.VARIABLE, "file:///etc/SECRET")
    with pytest.raises(SettingsError, match=sender.VARIABLE) as refused:
        sender.post(MESSAGE)
    assert "SECRET" not in str(refused.value)
