"""Send a notification to the webhook; its address is a secret and is in no log or error."""

import json
import os
import time
import urllib.error
import urllib.request

from pneumo.errors import ServiceError, SettingsError
from pneumo.operations.notification_texts import Message

VARIABLE = "PNEUMO_NOTIFY_WEBHOOK"
ATTEMPTS = 3
TIMEOUT = 10.0


def post(message: Message) -> bool:
    """Send a message to the webhook of the environment; False if there is none.

    The body is JSON; Slack, Mattermost, Teams and Google Chat show its key `text`.

    Raises:
        SettingsError: the address is not http(s)://.
        ServiceError: the webhook refused it three times or did not answer.
    """
    address = os.environ.get(VARIABLE, "")
    if not address:
        return False
    if not address.startswith(("https://", "http://")):
        raise SettingsError(f"Expected an https:// address in {VARIABLE}, but it begins otherwise: correct it.")
    request = urllib.request.Request(address, _body(message), {"Content-Type": "application/json"})  # noqa: S310
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310 - httpx would log the address
                return True
        except urllib.error.HTTPError as error:
            reason = f"HTTP status {error.code}"
        except OSError as error:
            reason = type(error).__name__
        if attempt < ATTEMPTS:
            time.sleep(2**attempt)
    raise ServiceError(
        f"Expected the webhook of {VARIABLE} to take a message, but it gave {reason}: check its address."
    )


def _body(message: Message) -> bytes:
    text = "\n".join(part for part in (f"pneumo: {message.title}", message.text, message.link) if part)
    return json.dumps({"text": text, **message.model_dump()} | {"text": text}).encode()
