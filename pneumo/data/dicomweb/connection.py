"""Requests to one DICOMweb server: what is repeated, how long is waited, how much is read; no answer is believed.

Errors quote neither addresses with identifiers nor the server's words, since both can name a patient.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pneumo.data.dicomweb.address import PASSWORD, TOKEN, Address, login
from pneumo.data.dicomweb.dicom_json import parsed
from pneumo.errors import ArchiveError, DataError

if TYPE_CHECKING:
    import httpx

CHUNK = 2**18
ATTEMPTS = 5
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 60.0  # seconds
LONGEST_ANSWER = 600.0  # seconds: a server that sends a byte a minute never times out
LONGEST_PAUSE = 60.0  # seconds, that a server may ask for
LARGEST_JSON = 64 * 2**20  # bytes
BUSY = (429, 502, 503, 504)
ADVICE = {
    400: "check the filters of the address",
    401: f"give its login in the environment ({PASSWORD} with its user, or {TOKEN})",
    403: "the login may not do this: ask who runs it",
    404: "check the path of the address",
    406: "it cannot give images unchanged: ask who runs it",
}
Value = TypeVar("Value")


class BrokenAnswerError(Exception):
    """An answer that ended before it was whole: worth another try."""


class Connection:
    """A server that speaks DICOMweb; TLS is verified, and no redirection is followed, since it would take the login."""

    def __init__(self, address: Address) -> None:
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address, and UIDs in it
        given = login()
        self.shown = address.shown
        self._client = httpx.Client(
            base_url=address.url + "/",
            auth=given if isinstance(given, tuple) else None,
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {given}"} if given and isinstance(given, str) else {}),
            timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
        )

    def json(self, path: str, query: Mapping[str, str] | None = None) -> tuple[list[Any], bool]:
        """The rows of an answer, and whether the server warns that there are more.

        Raises:
            ArchiveError: the server cannot be used.
            DataError: it answers this request with an error, or with something else than DICOM JSON.
        """

        def read(response: "httpx.Response") -> tuple[list[Any], bool]:
            if response.status_code == 204:
                return [], False
            self._require_type(response, "application/dicom+json", "application/json")
            rows = parsed(b"".join(limited(response, LARGEST_JSON)))
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise DataError(f"Expected DICOM JSON of {self.shown}, but got something else: check the address.")
            return rows, "warning" in response.headers

        return self.ask("GET", path, read, params=query, headers={"Accept": "application/dicom+json"})

    def ask(self, method: str, path: str, read: Callable[["httpx.Response"], Value], **options: Any) -> Value:
        """Send a request and read its answer; both again where the server is busy or the answer breaks off.

        Raises:
            ArchiveError: no connection, a login that is refused, or still busy after all attempts.
            DataError: another error of the server for this one request.
        """
        import httpx

        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            pause = min(0.2 * 2**attempt, LONGEST_PAUSE)
            try:
                with self._client.stream(method, path, **options) as response:
                    if response.status_code not in BUSY:
                        self._require_success(response)
                        return read(response)
                    reason, pause = f"answers {response.status_code}", self._pause(response, pause)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise ArchiveError(
                    f"Expected to reach {self.shown}, but it gives: {error}: check the address, the network and, behind"
                    " an authority of the hospital's own, SSL_CERT_FILE."
                ) from None
            except (httpx.TransportError, BrokenAnswerError) as error:
                reason = f"breaks off ({type(error).__name__})"
            if attempt < ATTEMPTS:
                time.sleep(pause)
        kind = DataError if reason.startswith("breaks") else ArchiveError
        raise kind(f"Expected an answer of {self.shown}, but it {reason}, {ATTEMPTS} times: run again later.")

    def _require_success(self, response: "httpx.Response") -> None:
        status = response.status_code
        if status in (200, 202, 204) or (status == 409 and response.request.method == "POST"):
            return
        advice = (
            "give the address to which it leads"
            if status in range(300, 400)
            else ADVICE.get(status, "run again, or ask who runs it")
        )
        kind = ArchiveError if status in (401, 403) else DataError
        raise kind(f"Expected an answer of {self.shown}, but it answers {status}: {advice}.")

    def _require_type(self, response: "httpx.Response", *types: str) -> None:
        found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if found not in types:
            raise DataError(f"Expected {types[0]} of {self.shown}, but got another content type: check its path.")

    def _pause(self, response: "httpx.Response", default: float) -> float:
        asked = _seconds(response.headers.get("retry-after", ""))
        if asked is not None and asked > LONGEST_PAUSE:
            raise ArchiveError(
                f"Expected an answer of {self.shown}, but it is busy ({response.status_code}) and asks to come again in"
                f" {asked:.0f} s: run again then; what was fetched is kept."
            )
        return default if asked is None else max(asked, 0.0)


def limited(response: "httpx.Response", most: int) -> Iterator[bytes]:
    """The body of an answer in chunks.

    Raises:
        DataError: it is longer than `most` bytes, takes longer than `LONGEST_ANSWER`, or is compressed unasked.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise DataError("Expected an uncompressed answer, but the archive compresses it unasked: switch that off.")
    read, until = 0, time.monotonic() + LONGEST_ANSWER
    for chunk in response.iter_raw(CHUNK):
        read += len(chunk)
        if read > most:
            raise DataError(f"Expected at most {most >> 20} MiB in an answer of the archive, but there is more.")
        if time.monotonic() > until:
            raise DataError(f"Expected a whole answer within {LONGEST_ANSWER:.0f} s, but the archive goes on sending.")
        yield chunk


def _seconds(text: str) -> float | None:
    """Of Retry-After: a number, or the time until a date."""
    if text.strip().isdecimal():
        return float(text)
    with suppress(ValueError, TypeError):
        when = parsedate_to_datetime(text)
        return (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None
