import logging

import pytest

from pneumo.errors import ServiceError
from pneumo.operations.notify import Message
from pneumo.settings import Notify, Settings
from tasks import notification

MESSAGE = Message(kind="drift", title="drift in /images", text="size drift is 0.4", link="http://mlflow/1")


@pytest.fixture(autouse=True)
def log(monkeypatch, caplog):
    monkeypatch.setattr(notification, "get_run_logger", lambda: logging.getLogger("run"))
    return caplog


@pytest.fixture
def block(monkeypatch):
    """What a Prefect notification block of this name was told."""
    told = []

    class Told:
        def notify(self, body, subject=None):
            told.append((body, subject))

    blocks = {"slack-webhook/mine": Told()}

    def load(name):
        if name not in blocks:
            raise ValueError(f"Unable to find {name} at https://hooks/SECRET")
        return blocks[name]

    monkeypatch.setattr(notification.Block, "load", load)
    return told


def test_the_block_of_the_settings_is_told(block):
    notification.notify(MESSAGE, Settings(notify=Notify(block="slack-webhook/mine")))
    assert block == [("size drift is 0.4\nhttp://mlflow/1", "pneumo: drift in /images")]


def test_nobody_is_told_where_nothing_is_configured(block):
    notification.notify(MESSAGE, Settings())
    assert block == []


def test_what_cannot_be_sent_is_a_warning_without_the_address(block, log):
    notification.notify(MESSAGE, Settings(notify=Notify(block="slack-webhook/gone")))
    assert "drift not sent through the block slack-webhook/gone: ValueError" in log.text
    assert "SECRET" not in log.text


def test_a_webhook_that_refuses_does_not_fail_the_run(monkeypatch, log):
    def refuse(message):
        raise ServiceError("Expected the webhook to take a message, but it gave 500: check its address.")

    monkeypatch.setattr(notification.webhook, "post", refuse)
    notification.notify(MESSAGE, Settings())
    assert "drift not sent: Expected the webhook" in log.text
