"""A DICOMweb archive of one image that answers honestly until a test gives it a fault."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STUDY, SERIES, IMAGE = "1.2.77.1", "1.2.77.1.1", "1.2.77.1.1.1"
MULTIPART = 'multipart/related; type="application/dicom"; boundary=limit'
Fault = Callable[["Handler"], bool]  # whether it has answered


def parts(*files: bytes, end: bytes = b"--limit--\r\n") -> bytes:
    return b"".join(b"--limit\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files) + end


class FaultyArchive(ThreadingHTTPServer):
    """`asked` are the requests: method, path, headers."""

    daemon_threads = True

    def __init__(self, image: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.image = image
        self.fault: Fault = lambda request: False
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    @property
    def address(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self.server_port}/dw"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no fault of this server."""


class Handler(BaseHTTPRequestHandler):
    server: FaultyArchive

    def answer(self, status: int, body: bytes = b"", kind: str = "application/dicom+json", **headers: str) -> bool:
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
        return True

    def rows(self, *rows: dict[str, str]) -> bool:
        told = [{tag: {"vr": "UI", "Value": [value]} for tag, value in row.items()} for row in rows]
        return self.answer(200, json.dumps(told).encode())

    @property
    def of_image(self) -> bool:
        return self.path.endswith(f"/instances/{IMAGE}")

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path, dict(self.headers)))
        if self.server.fault(self):
            return
        place = self.path.partition("?")[0]
        if self.of_image:
            self.answer(200, parts(self.server.image), MULTIPART)
        elif place.endswith("/studies"):
            self.rows({"0020000D": STUDY})
        elif place.endswith("/series"):
            self.rows({"0020000E": SERIES, "00080060": "CR"})
        else:
            self.rows({"00080018": IMAGE})

    def do_POST(self) -> None:
        self.server.asked.append(("POST", self.path, dict(self.headers)))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.fault(self)

    def log_message(self, *words: object) -> None:
        pass


@contextlib.contextmanager
def serving(image: bytes) -> Iterator[FaultyArchive]:
    with FaultyArchive(image) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()
