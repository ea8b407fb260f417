"""A login that MLflow's server took before and refuses now is shown again: its database may be away.

While the database of MLflow's login app restarts, the app answers 401 to uploads and downloads of artifacts with a good
password (its FastAPI middleware takes every error for a wrong one), and MLflow's client repeats no request that was
answered so. This is an authentication plug-in of MLflow's (entry point in pyproject.toml), chosen by
MLFLOW_TRACKING_AUTH. Nothing else imports it, since requests takes time to load.
"""

import io
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from pneumo.tracking.connection import BACKOFF_SECONDS, OUTAGE_LOGIN, OUTAGE_SECONDS, retries

# Refused, and what else a server answers while it starts: the codes that MLflow's client repeats.
REPEATED = (HTTPStatus.UNAUTHORIZED, 408, 429, 500, 502, 503, 504)

Login = tuple[str, str]  # host and port of the server, header of the login
_accepted: set[Login] = set()


class OutageLogin:
    """What MLflow asks for the authentication of its requests (RequestAuthProvider)."""

    def get_name(self) -> str:
        """The value of MLFLOW_TRACKING_AUTH that chooses this plug-in."""
        return OUTAGE_LOGIN

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
        """The answer itself, or the last one of the repetitions."""
        login = _login(response.request)
        if response.status_code == HTTPStatus.UNAUTHORIZED and login in _accepted:
            response = _repeated(response, options)
        if response.ok:
            _accepted.add(login)
        elif response.status_code == HTTPStatus.UNAUTHORIZED:
            _accepted.discard(login)  # it was changed: from now on it fails at once
        return response


def _repeated(response: requests.Response, options: dict[str, Any]) -> requests.Response:
    response.close()
    if isinstance(response.request.body, io.IOBase):
        response.request.body.seek(0)  # a file that was sent already; urllib3 returns to this place each time
    patience = Retry(
        retries(OUTAGE_SECONDS),
        backoff_factor=BACKOFF_SECONDS,
        status_forcelist=REPEATED,
        allowed_methods=None,
        raise_on_status=False,
    )
    return HTTPAdapter(max_retries=patience).send(response.request, **options)


def _login(request: requests.PreparedRequest) -> Login:
    return urlsplit(str(request.url)).netloc, str(request.headers.get("Authorization", ""))
