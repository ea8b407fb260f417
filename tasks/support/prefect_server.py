"""The embedded Prefect server where there is no login: `python -m tasks.support.prefect_server HOST PORT`.

Prefect asks nobody who he is then, nor from where: a page of any site that is open in a browser of this machine could
start flow runs with commands of its own, by a request without a content type, by a web socket, or under a name that the
site lets point to this machine. So whatever is not asked by a page of its own, or by a program, is refused.
"""

import os
import sys
from urllib.parse import urlsplit

import uvicorn
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

ORIGINS = "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"
REFUSED = (
    "Expected a request of this server's own pages, under one of its names: services.names and services.prefect_page of"
    " mlflow.yaml add others."
)


class OwnPages:
    """Passes on what pages of these origins ask, and programs, which have none, under the origins' host names.

    Starlette's TrustedHostMiddleware sees no origins, and its refusal does not say which setting adds a name.
    """

    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        self._app, self._origins = app, {origin.lower() for origin in origins}
        self._hosts = {urlsplit(origin).netloc for origin in self._origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or close a web socket before it opens."""
        if scope["type"] == "lifespan" or self._is_own(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await PlainTextResponse(REFUSED, 403)(scope, receive, send)

    def _is_own(self, headers: Headers) -> bool:
        origin = headers.get("origin", "").lower()
        return headers.get("host", "").lower() in self._hosts and (not origin or origin in self._origins)


def main(host: str, port: str) -> None:
    """Serve as `prefect server start` does, until the process is ended."""
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    api = get_current_settings().server.api
    uvicorn.run(
        OwnPages(create_app(final=True), os.environ[ORIGINS].split(",")),
        host=host,
        port=int(port),
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
        log_level="warning",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
