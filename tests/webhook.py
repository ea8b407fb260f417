"""A webhook on loopback: keeps what it is told, and answers with the statuses it was given, then with 200."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Webhook:
    """`got` are the bodies, `statuses` the next answers, `url` an address that is a secret."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self._server = HTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/services/SECRET"

    def __enter__(self) -> "Webhook":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(webhook: Webhook) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            webhook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(webhook.statuses.pop(0) if webhook.statuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
