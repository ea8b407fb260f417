"""Notifications: sent to the webhook of the environment and a Prefect block, where they are configured."""

from typing import Any

import httpx
from prefect import get_run_logger
from prefect.blocks.abstract import NotificationError
from prefect.blocks.core import Block
from prefect.exceptions import PrefectException

from pneumo.errors import PneumoError
from pneumo.operations import webhook
from pneumo.operations.notification_texts import Message
from pneumo.settings import Settings

# Errors of loading a block and sending through it; those of requests are OSErrors.
UNSENT = (NotificationError, PrefectException, ValueError, RuntimeError, OSError, httpx.HTTPError)


def notify(message: Message, settings: Settings) -> None:
    """Send a message to all channels; if one fails, that is a warning in the run's log, never a failed run."""
    try:
        webhook.post(message)
    except PneumoError as error:
        get_run_logger().warning("%s not sent: %s", message.kind, error)
    if settings.notify.block:
        _through_block(settings.notify.block, message)


def _through_block(name: str, message: Message) -> None:
    from prefect.blocks import notifications  # noqa: F401 - the block's class is found once it is imported

    try:
        block: Any = Block.load(name)
        block.notify("\n".join(filter(None, (message.text, message.link))), subject=f"pneumo: {message.title}")
    except UNSENT as error:
        # The error's text may hold the address.
        get_run_logger().warning("%s not sent through the block %s: %s", message.kind, name, type(error).__name__)
