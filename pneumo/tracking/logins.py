"""Logins of MLflow's login app: who uses a server, and logins with no more rights than needed."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from pneumo.errors import TrackingError
from pneumo.tracking.connection import EXISTS, MISSING, PROBE_SECONDS, login
from pneumo.tracking.system import user

Login = tuple[str, str]  # user, password
API, RIGHTS = "/api/2.0/mlflow", "/api/3.0/mlflow/users/permissions"
CURRENT, NO_LOGINS = f"{API}/users/current", "404 Not Found"  # answer of a server without the login app
FULL = "MANAGE"  # EDIT does not allow deletion, which house-keeping needs


def person(uri: str) -> str:
    """Who works here: the user of the login that the server accepts, or without a login this machine's user.

    Raises:
        TrackingError: the server refuses the login, or does not answer.
    """
    mine = login()
    found = _Server(uri, mine).ask("GET", CURRENT, unless=NO_LOGINS) if mine else None
    return str(found["user"]["username"]) if found else user()


def ensure_worker(uri: str, admin: Login, worker: Login, experiment: str, models: Sequence[str]) -> None:
    """Make a login for workers: no administrator, but with full rights over one experiment and these models.

    Everything else it may only read. The experiment is made if there is none; a model that the worker itself registers
    is its own.

    Raises:
        TrackingError: as in `ensure_reader`.
    """
    server, theirs = _Server(uri, admin), _Server(uri, worker)
    ensure_reader(uri, admin, worker)
    found = server.ask("GET", f"{API}/experiments/get-by-name?experiment_name={quote(experiment)}", None, MISSING)
    if found is None:
        theirs.ask("POST", f"{API}/experiments/create", {"name": experiment})  # whoever makes it has full rights
    else:
        server.grant(worker[0], "experiment", found["experiment"]["experiment_id"])
    for name in models:
        if server.ask("GET", f"{API}/registered-models/get?name={quote(name)}", None, MISSING) is not None:
            server.grant(worker[0], "registered_model", name)


def ensure_reader(uri: str, admin: Login, reader: Login) -> None:
    """Make a login that reads everything and changes nothing of others, unless there is one of that name.

    An existing login keeps its password: a person may have changed it, or may be the one whose login it is.

    Raises:
        TrackingError: the server does not answer, refuses the administrator, or knows the login by another password.
    """
    account = {"username": reader[0], "password": reader[1]}
    if not _Server(uri, reader).accepted() and (
        _Server(uri, admin).ask("POST", f"{API}/users/create", account, EXISTS) is None
    ):
        raise TrackingError(
            f"Expected MLflow at {uri} to take the login {reader[0]} with the password of this environment, but it has"
            " another one: set that one here, or have the administrator give the login this one (docs/security.md)."
        )


class _Server:
    """MLflow's API with one login."""

    def __init__(self, uri: str, login: Login) -> None:
        self.uri = uri
        self.client = httpx.Client(base_url=uri, auth=login, timeout=PROBE_SECONDS)

    def accepted(self) -> bool:
        """Whether the server accepts the login and its password."""
        return self._answer("GET", CURRENT, None).status_code == httpx.codes.OK

    def grant(self, person: str, kind: str, name: str) -> None:
        """Grant full rights over one thing; earlier rights are revoked first, or MLflow would refuse."""
        body = {"username": person, "resource_type": kind, "resource_id": name}
        if self.ask("GET", f"{RIGHTS}/get?{urlencode(body)}")["permission"] != FULL:
            self.ask("POST", f"{RIGHTS}/revoke", body, MISSING)
            self.ask("POST", f"{RIGHTS}/grant", {**body, "permission": FULL})

    def ask(self, method: str, path: str, body: dict[str, str] | None = None, unless: str = "") -> Any:
        """Content of the answer; None for an error whose text has `unless`."""
        answer = self._answer(method, path, body)
        if answer.is_success:
            return answer.json() if "json" in answer.headers.get("content-type", "") else {}
        if unless and unless in answer.text:
            return None
        raise TrackingError(f"MLflow at {self.uri} refused {path.partition('?')[0]}: {answer.text.strip()[:200]}")

    def _answer(self, method: str, path: str, body: dict[str, str] | None) -> httpx.Response:
        try:
            return self.client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise TrackingError(f"Expected an MLflow server at {self.uri}, but it does not answer ({error}).") from None
