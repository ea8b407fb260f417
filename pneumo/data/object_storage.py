"""The only door to S3: list, get and put objects on any S3 server, with retries, and errors that say what to do."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from pneumo.errors import DataError

CONNECTIONS = 32
CHUNK = 2**20
ATTEMPTS = 5
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0  # seconds
TRANSIENT = ("IncompleteReadError", "ResponseStreamingError", "ReadTimeoutError", "ConnectionClosedError")
UNREACHABLE = (*TRANSIENT, "EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError")
OUTAGE = ("429", "500", "502", "503", "504", "507")
OUTAGE_SECONDS = 300.0  # how long to wait for a bucket that has answered before
LONGEST_PAUSE = 16.0
FULL = "see its log, make room if its disk is full, and run again"  # each server has a status of its own for that
ADVICE = {
    **dict.fromkeys(("500", "503", "507"), FULL),
    "403": "check the credentials and their rights",
    "404": "check bucket and prefix",
    "412": "it changed while it was read, run again",
}
Value = TypeVar("Value")
_answered: set[tuple[str, str]] = set()  # (endpoint, bucket) pairs that have answered this process


@dataclass(frozen=True)
class Item:
    """An object in a bucket."""

    key: str
    size: int
    etag: str
    changed: datetime


class Bucket:
    """A bucket and a prefix in it; boto3 takes the credentials from the environment."""

    def __init__(self, url: str, endpoint: str | None, attempts: int = 0, timeout: float = 0) -> None:
        import boto3
        from botocore.config import Config

        name, _, prefix = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not name:
            raise DataError(f"Expected s3://<bucket>/<prefix>, but got {url!r}: correct it.")
        self.url, self.name, self.prefix = url, name, prefix
        self._attempts = attempts or ATTEMPTS
        config = Config(
            connect_timeout=min(CONNECT_TIMEOUT, timeout or READ_TIMEOUT),
            read_timeout=timeout or READ_TIMEOUT,
            retries={"mode": "standard", "max_attempts": self._attempts},
            max_pool_connections=CONNECTIONS,
            request_checksum_calculation="when_required",  # servers other than AWS's refuse the newer checksums
            response_checksum_validation="when_required",
        )
        self._client = boto3.client("s3", endpoint_url=endpoint, config=config)
        self.endpoint = self._client.meta.endpoint_url  # the given one, that of the environment, or AWS's own

    def key(self, *parts: str) -> str:
        """The full key of parts below the prefix."""
        return self.prefix + self.below("/".join(parts))

    def below(self, name: str) -> str:
        """A name as it is appended to the prefix, with a slash before it where one is needed."""
        return name if not self.prefix or self.prefix.endswith("/") else f"/{name}"

    def has(self, key: str) -> bool:
        """Whether there is an object with this key."""
        found = self._call(key, lambda: self._client.list_objects_v2(Bucket=self.name, Prefix=key, MaxKeys=1))
        return any(item["Key"] == key for item in found.get("Contents", ()))

    def delete(self, key: str) -> None:
        """Delete an object; no error if there is none."""
        self._call(key, lambda: self._client.delete_object(Bucket=self.name, Key=key))

    def list(self, below: str = "") -> Iterator[Item]:
        """Objects below the prefix, sorted by key; keys are relative to the bucket."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix + below)
        for page in self._call(below, lambda: list(pages)):
            for item in page.get("Contents", ()):
                yield Item(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])

    def at_or_below(self) -> Iterator[Item]:
        """The object of this very key, and those below it as a folder: for ward1 neither ward10/ nor ward1-old/."""
        return (item for item in self.list() if item.key == self.prefix or item.key.startswith(self.key()))

    def get(self, key: str, etag: str | None = None) -> bytes:
        """Content of an object; if `etag` is given, only if the object still has it.

        Where the ETag is a hash of the content (the MD5 of an object that was put in one part), it is verified.
        """
        condition = {"IfMatch": etag} if etag else {}
        arguments = {"Bucket": self.name, "Key": key, **condition}
        data: bytes = self._call(key, lambda: self._client.get_object(**arguments)["Body"].read())
        return data

    def save(self, key: str, file: Path, etag: str) -> tuple[int, str]:
        """Write an object to a file, a part at a time, if it is still that one; returns its length and MD5."""

        def fetch() -> tuple[int, str]:
            length, digest = 0, hashlib.md5(usedforsecurity=False)
            with file.open("wb") as target:
                body = self._client.get_object(Bucket=self.name, Key=key, IfMatch=etag)["Body"]
                for part in body.iter_chunks(CHUNK):
                    target.write(part)
                    digest.update(part)
                    length += len(part)
            return length, digest.hexdigest()

        return self._call(key, fetch)

    def put(self, key: str, data: bytes) -> None:
        """Write an object; the server verifies its MD5."""
        digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        self._call(key, lambda: self._client.put_object(Bucket=self.name, Key=key, Body=data, ContentMD5=digest))

    def make(self) -> None:
        """Make the bucket; no error if it is ours already."""
        owned = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")

        def create() -> None:
            try:
                self._client.create_bucket(Bucket=self.name)
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in owned:
                    raise

        self._call("", create)

    def _call(self, key: str, action: Callable[[], Value]) -> Value:
        """Run a request, and again when it breaks off; a bucket that has answered before is waited for in an outage.

        boto3 itself retries neither a body that breaks off nor through a long outage. A wrong address fails at once.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        began, attempt = time.monotonic(), 0
        place = (self.name, self.endpoint)
        while True:
            attempt += 1
            patient = place in _answered and time.monotonic() - began < OUTAGE_SECONDS and self._attempts > 1
            try:
                result = action()
                _answered.add(place)
                return result
            except ClientError as error:
                if not (patient and _status(error.response) in OUTAGE):
                    raise self._error(key, error.response) from error
            except BotoCoreError as error:
                name = type(error).__name__
                if not (patient and name in UNREACHABLE) and (name not in TRANSIENT or attempt >= self._attempts):
                    raise DataError(
                        f"Expected to reach s3://{self.name}/{key} at {self.endpoint}, but it gives: {error}"
                        f" (after {attempt} attempts): check endpoint, network and credentials."
                    ) from error
            time.sleep(min(0.2 * 2**attempt, LONGEST_PAUSE))

    def _error(self, key: str, response: dict[str, Any]) -> DataError:
        status = _status(response)
        code = response.get("Error", {}).get("Code", "")
        return DataError(
            f"Expected to read or write s3://{self.name}/{key} at {self.endpoint}, but the server answers {status}"
            f" {code}: {ADVICE.get(status, 'run again, or ask who runs it')}."
        )


def _status(response: Any) -> str:
    return str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
