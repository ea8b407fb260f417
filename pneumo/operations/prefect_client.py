"""Requests to a Prefect server's REST API, with paging, errors in words, and retries while it is busy or away."""

import os
import time
from typing import Any

import httpx

from pneumo.errors import ServiceError

LONGEST_PAUSE = 16.0
BUSY = frozenset({408, 429, 502, 503})  # a locked SQLite database is a 503
PAGE = 200  # the server's limit
FAILING = "; see the logs of Prefect and of its database, which may be away or have a full disk, and run again"


class PrefectClient:
    """A thin client; every refusal is a ServiceError with the server's own words.

    `patience`: seconds for which a request to a server that does not answer, or whose database does not, is repeated.
    `busy`: the same for one that says it is too busy, as when another writer has locked its database. The pauses grow.
    """

    def __init__(self, url: str, timeout: float = 30, patience: float = 0, busy: float = 60) -> None:
        login = os.environ.get("PREFECT_API_AUTH_STRING", "")
        user, _, password = login.partition(":")
        self.url, self.patience, self.busy = url, patience, busy
        self._client = httpx.Client(base_url=url, timeout=timeout, auth=(user, password) if login else None)

    def healthy(self) -> bool:
        """Whether the server answers."""
        try:
            return self._client.get("/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def pages(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """All items that a filter finds, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.ask("POST", path, {**body, "limit": PAGE, "offset": len(found)})
            found += page
            if len(page) < PAGE:
                return found

    def ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        accepted: frozenset[int] | set[int] = frozenset(),
    ) -> Any:
        """The server's answer to a request, None if it is empty.

        Raises:
            ServiceError: it refuses with a status that is not `accepted`, or does not answer.
        """
        answer = self._answer(method, path, body)
        if answer.is_error and answer.status_code not in accepted:
            advice = FAILING if answer.is_server_error else ""
            raise ServiceError(f"Prefect refused {method} {path} ({answer.status_code}): {_reason(answer)}{advice}")
        return answer.json() if answer.content else None

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        """One answer; a request is repeated while the server is silent, too busy, or without its database."""
        begun, pause = time.monotonic(), 0.5
        while True:
            try:
                answer = self._client.request(method, path, json=body)
                if time.monotonic() - begun >= self._waits_for(answer.status_code):
                    return answer
            except httpx.TransportError as error:
                if time.monotonic() - begun >= self.patience:
                    raise ServiceError(
                        f"Expected a Prefect server at {self.url}, but it cannot be reached ({error}): run `pneumo up`."
                    ) from None
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _waits_for(self, status: int) -> float:
        """Seconds for which a request with this answer is repeated."""
        if status in BUSY:
            return max(self.patience, self.busy)
        return self.patience if status == httpx.codes.INTERNAL_SERVER_ERROR else 0  # Postgres is away


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("detail", answer.text))
    except ValueError:
        return answer.text
