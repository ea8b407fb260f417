"""The service as it runs: it loads and follows the model, keeps answers, and logs each request as a line of JSON."""

import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.errors import ServiceError, SettingsError
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.record import ServiceRecord
from pneumo.serving.service.running_shadow import running_shadow
from pneumo.settings import Settings
from pneumo.settings.servers import Serve
from pneumo.tracking import ModelVersion, Tracker

TOKEN, SHORTEST = "PNEUMO_SERVE_TOKEN", 16
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE_SECONDS = 30  # for requests that are being answered when the service ends


def serve(settings: Settings, find: Callable[[], tuple[Tracker, ModelVersion]], wait: bool = False) -> None:
    """Score X-rays over HTTP until the process is told to end.

    Args:
        find: the version that should answer now, and the server that has it.
        wait: begin also without a version; /ready says why. For platforms that restart whatever ends.

    Raises:
        SettingsError: the service would be open to others without a login.
        ServiceError: the address is not free.
        PneumoError: without `wait`: there is no version to begin with, or it cannot be loaded.
    """
    import uvicorn

    from pneumo.serving.service.api import create_app

    # uvicorn ends itself by the signal that it got; without this handler the model's files and process would stay.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    token, limits = required_token(settings.serve), settings.serve
    model = FollowedModel(find, limits.uncertain)
    with _listening(limits) as door, running_shadow(settings, find, tell) as shadow:
        if not wait:
            model.update()
        if model.note:
            tell(model.note)
        threading.Thread(target=model.follow, args=(limits.follow_seconds, tell), daemon=True).start()
        try:
            record = ServiceRecord(settings.home, patient_secret(settings.home), tell)
            app = create_app(model, limits, token, _hosts(limits), record, shadow)
            config = uvicorn.Config(
                app, access_log=False, log_level="warning", server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )  # fmt: skip
            tell(
                "ready" if model.version else "waiting for a model",
                address=f"http://{_in_address(limits.host)}:{door.getsockname()[1]}",
                version=model.version.version if model.version else "",
            )
            uvicorn.Server(config).run(sockets=[door])
        finally:
            model.close()


def required_token(limits: Serve) -> str | None:
    """The login's token; None where there is none and only this machine can ask.

    Raises:
        SettingsError: other machines could ask without one, or it can be guessed.
    """
    token = os.environ.get(TOKEN)
    if token is None and limits.host not in LOOPBACK:
        raise SettingsError(
            f"Expected {TOKEN} in the environment, since serve.host {limits.host} opens the service to other machines,"
            " but it is not set: set it to a long random text, or listen on 127.0.0.1."
        )
    if token is not None and len(token) < SHORTEST:
        raise SettingsError(
            f"Expected at least {SHORTEST} characters in {TOKEN}, got {len(token)}: `openssl rand -hex 32` makes some."
        )
    if token is not None and not re.fullmatch("[!-~]+", token):
        raise SettingsError(
            f"Expected letters, digits and signs of ASCII in {TOKEN}, as HTTP headers take them, but it has others or "
            "spaces: `openssl rand -hex 32` makes a token."
        )
    return token


def tell(event: str, **figures: object) -> None:
    """Write a line of the service's log: JSON, without anything of a patient or of who asked."""
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **figures}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def _listening(limits: Serve) -> socket.socket:
    """A socket on the address, before a model is loaded for nothing."""
    family = socket.AF_INET6 if ":" in limits.host else socket.AF_INET
    try:
        return socket.create_server((limits.host, limits.port), family=family)
    except OSError as error:
        raise ServiceError(
            f"Expected {limits.host}:{limits.port} to be free, but {error.strerror}: end what listens there, or give"
            " another serve.port or --port."
        ) from None


def _hosts(limits: Serve) -> list[str]:
    """As they come in requests: in small letters, an IPv6 address in brackets."""
    return [_in_address(name).lower() for name in (*LOOPBACK, limits.host, *limits.names)]


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
