"""A login that MLflow's server took before and refuses now is shown again: its database may be away.

While the database of MLflow's login app restarts, the app answers 401 to uploads and downloads of artifacts with a good
password (its FastAPI middleware takes every error for a wrong one), and MLflow's client repeats no request that was
answered so. This is an authentication plug-in of MLflow's (entry point in pyproject.toml), chosen by
MLFLOW_TRACKING_AUTH.
"""

import io
import time
from collections.abc import Iterator
from typing import Any

import requests
from requests.auth import AuthBase

NAME = "pneumo"  # of the plug-in
FIRST_SECONDS, LONGEST_SECONDS = 1.0, 30.0  # between two attempts; doubled each time

Login = tuple[str, str]  # address of the server, header of the login
_accepted: set[Login] = set()


class OutageLogin:
    """What MLflow asks for the authentication of its requests (RequestAuthProvider)."""

    def get_name(self) -> str:
        """The value of MLFLOW_TRACKING_AUTH that chooses this plug-in."""
        return NAME

    def get_auth(self) -> "Repeated":
        """The authentication of one request."""
        return Repeated()


class Repeated(AuthBase):
    """Repeat a request whose login is refused now and was taken before, for OUTAGE_SECONDS; others fail at once."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Watch the answer to a request; MLflow's client has put the login into its headers."""
        request.register_hook("response", self.answered)
        return request

    def answered(self, response: requests.Response, **options: Any) -> requests.Response:
        """The answer itself, or that to the first repetition whose login is taken."""
        login = _login(response.request)
        if response.ok:
            _accepted.add(login)
        if response.status_code == requests.codes.unauthorized and login in _accepted:
            return _repeated(response, login, options)
        return response


def _repeated(response: requests.Response, login: Login, options: dict[str, Any]) -> requests.Response:
    for seconds in _waits():
        time.sleep(seconds)
        _ = response.content  # read to its end, so that the connection can be used again
        again = _copy(response.request)
        response = response.connection.send(again, **options)
        if response.status_code != requests.codes.unauthorized:
            return response
    _accepted.discard(login)  # it was changed: from now on it fails at once
    return response


def _copy(request: requests.PreparedRequest) -> requests.PreparedRequest:
    if isinstance(request.body, io.IOBase):
        request.body.seek(0)  # a file that was sent already
    return request.copy()


def _waits() -> Iterator[float]:
    """Seconds before each attempt, OUTAGE_SECONDS together."""
    from pneumo.tracking.connection import OUTAGE_SECONDS

    seconds, left = FIRST_SECONDS, float(OUTAGE_SECONDS)
    while left > 0:
        yield min(seconds, left)
        left -= seconds
        seconds = min(2 * seconds, LONGEST_SECONDS)


def _login(request: requests.PreparedRequest) -> Login:
    server = "/".join(str(request.url).split("/", 3)[:3])
    return server, str(request.headers.get("Authorization", ""))
