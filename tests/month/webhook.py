"""A webhook on this machine, which keeps what people are told."""

import http.server
import json
import threading
from typing import Any


class Webhook(http.server.ThreadingHTTPServer):
    """Takes the notifications that people get."""

    def __init__(self) -> None:
        told: list[dict[str, Any]] = []
        self.told = told

        class Take(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Take)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["kind"] == kind]
