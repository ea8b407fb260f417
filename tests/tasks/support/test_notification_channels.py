import logging

import pytest

from pneumo.operations import webhook as sender
from pneumo.operations.notification_texts import Message
from pneumo.settings import Settings
from pneumo.settings.unattended import Notify
from tasks.support import notification_channels
from tests.webhook import Webhook

MESSAGE = Message(kind="drift", title="images have drifted", text="size drift is 0.4", link="http://mlflow/1")
BLOCK = Settings(notify=Notify(block="custom-webhook/mine"))


@pytest.fixture(autouse=True)
def log(monkeypatch, caplog):
    monkeypatch.setattr(notification_channels, "get_run_logger", lambda: logging.getLogger("run"))
    monkeypatch.setattr(sender.time, "sleep", lambda seconds: None)
    monkeypatch.delenv(sender.VARIABLE, raising=False)
    return caplog


@pytest.fixture
def webhook():
    with Webhook() as webhook:
        yield webhook


@pytest.fixture
def prefect(prefect_server):
    """Prefect's client talks to the real server of the session."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: prefect_server}):
        yield


@pytest.fixture
def block(prefect, webhook):
    """A notification block that a user has made on Prefect's page."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    body = {"subject": "{{subject}}", "text": "{{body}}"}
    CustomWebhookNotificationBlock(name="mine", url=webhook.url, json_data=body).save("mine", overwrite=True)


@pytest.mark.services
def test_the_block_of_the_settings_is_told(block, webhook):
    notification_channels.notify(MESSAGE, BLOCK)
    assert webhook.got == [{"subject": "pneumo: images have drifted", "text": "size drift is 0.4\nhttp://mlflow/1"}]


@pytest.mark.services
def test_a_block_that_is_not_there_is_a_warning(prefect, log):
    notification_channels.notify(MESSAGE, Settings(notify=Notify(block="custom-webhook/gone")))
    assert "drift not sent through the block custom-webhook/gone: ValueError" in log.text


@pytest.mark.services
def test_what_a_block_cannot_send_is_a_warning_without_the_address(block, webhook, log):
    webhook.statuses += [500] * 9
    with log.at_level(logging.WARNING):
        notification_channels.notify(MESSAGE, BLOCK)
    assert "drift not sent through the block custom-webhook/mine" in log.text
    assert "SECRET" not in log.text


def test_nobody_is_told_where_nothing_is_configured(monkeypatch):
    asked = []
    monkeypatch.setattr(sender.urllib.request, "urlopen", lambda request, **_: asked.append(request))
    monkeypatch.setattr(notification_channels.Block, "load", asked.append)
    notification_channels.notify(MESSAGE, Settings())
    assert asked == []


def test_a_webhook_that_refuses_does_not_fail_the_run(monkeypatch, webhook, log):
    monkeypatch.setenv(sender.VARIABLE, webhook.url)
    webhook.statuses += [500] * 3
    with log.at_level(logging.WARNING):
        notification_channels.notify(MESSAGE, Settings())
    assert "drift not sent: Expected the webhook" in log.text
    assert "SECRET" not in log.text
