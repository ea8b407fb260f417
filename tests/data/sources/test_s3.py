"""S3 servers that fail, and keys that lie."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pneumo.data import object_storage
from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data

LISTING = b"""<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents>
<Key>set/NORMAL/a.jpeg</Key><Size>100</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>
</ListBucketResult>"""


ALWAYS = {
    "403": (403, b"<Error><Code>AccessDenied</Code></Error>"),
    "500": (500, b"<Error><Code>InternalError</Code></Error>"),
    "no S3": (200, b"<html>It works!</html>"),
}
MIDWAY = {
    "403 midway": (403, b"<Error><Code>AccessDenied</Code></Error>"),
    "changed": (412, b"<Error><Code>PreconditionFailed</Code></Error>"),
    "gone": (404, b"<Error><Code>NoSuchKey</Code></Error>"),
    "other size": (200, b"too short"),
}


class Faulty(BaseHTTPRequestHandler):
    """An S3 server that lists one object and then behaves badly."""

    fault = ""

    def do_GET(self) -> None:
        if self.fault in ALWAYS or ("list-type" not in self.path and self.fault in MIDWAY):
            self._answer(*{**ALWAYS, **MIDWAY}[self.fault])
        elif "list-type" in self.path:
            self._answer(200, LISTING)
        elif self.fault == "breaks off":
            self._answer(200, b"half", length=100)
        elif self.fault == "hangs":
            self.server.stop.wait(5)  # type: ignore[attr-defined]

    def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def faulty(s3_server, monkeypatch) -> Iterator[Callable[[str], str]]:
    """Address of an S3 server with a fault."""
    import threading

    monkeypatch.setattr(object_storage, "ATTEMPTS", 2)
    monkeypatch.setattr(object_storage, "OUTAGE_SECONDS", 0.0)
    monkeypatch.setattr(object_storage, "READ_TIMEOUT", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.stop = threading.Event()  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()

    def start(fault: str) -> str:
        monkeypatch.setattr(Faulty, "fault", fault)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    server.stop.set()  # type: ignore[attr-defined]
    server.shutdown()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("403", "answers 403 AccessDenied: check the credentials"),
        ("403 midway", r"set/NORMAL/a.jpeg .* answers 403 AccessDenied: check the credentials"),
        ("changed", r"a.jpeg .* answers 412 PreconditionFailed: it changed while it was read, run again"),
        ("500", r"answers 500 InternalError: see its log, make room if its disk is full, and run again"),
        ("no S3", "Expected images below s3://bucket/set, but there are none: check bucket, prefix and endpoint"),
        ("gone", "answers 404 NoSuchKey: check bucket and prefix"),
        ("breaks off", r"after 2 attempts"),
        ("hangs", r"Read timeout .*after 2 attempts"),
        ("other size", "Expected 100 bytes .* but got 9 others"),
    ],
)
def test_an_s3_server_that_fails_midway_is_told_and_leaves_no_file(home, faulty, fault, text):
    with pytest.raises(DataError, match=text):
        ingest("s3://bucket/set", home, Data(s3_endpoint=faulty(fault)))
    assert not list(home.rglob("*.jpeg*"))


def test_an_s3_server_that_is_not_there_is_told(home, s3_server, monkeypatch):
    monkeypatch.setattr(object_storage, "ATTEMPTS", 1)
    with pytest.raises(DataError, match=r"Expected to reach s3://bucket/.*check endpoint, network"):
        ingest("s3://bucket/set", home, Data(s3_endpoint="http://127.0.0.1:9"))


def test_missing_credentials_are_told(home, s3_server, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers them
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))
    with pytest.raises(DataError, match=r"Unable to locate credentials .*: check endpoint, network and credentials"):
        ingest("s3://hospital/set", home, Data(s3_endpoint=s3_server))


def test_a_bucket_that_is_not_there_is_told(home, s3_server):
    with pytest.raises(DataError, match="answers 404 NoSuchBucket: check bucket and prefix"):
        ingest("s3://no-such-bucket/set", home, Data(s3_endpoint=s3_server))


def test_a_key_that_leads_outside_is_refused(home, s3_server):
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server)
    client.put_object(Bucket="hospital", Key="hostile/NORMAL//../../../evil.jpeg", Body=b"x")
    with pytest.raises(DataError, match="leads outside: rename that object"):
        ingest("s3://hospital/hostile", home, Data(s3_endpoint=s3_server))
    assert not list(home.rglob("evil*"))
