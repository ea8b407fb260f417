"""Connect to an MLflow server: a wrong address fails at once, an outage during a run is waited for."""

import functools
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pneumo.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

OUTAGE_SECONDS = 300  # seconds that a run waits for a server that has gone away
OUTAGE_LOGIN = "pneumo"  # the plug-in of `outage_login.py`, by the name of its entry point
PROBE_SECONDS = 10
BACKOFF_SECONDS = 1  # seconds before the second retry; doubled with each one, up to urllib3's 120 s
REFUSED = "it refuses the login of MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
MISSING = "RESOURCE_DOES_NOT_EXIST"
EXISTS = "RESOURCE_ALREADY_EXISTS"
TOO_MANY = re.compile(r"too many (\d+) error responses")  # urllib3's words where every retry was answered so

# For every process that imports MLflow: no telemetry, and no models that would have to be unpickled.
SAFE = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def healthy(uri: str) -> bool:
    """Whether MLflow's API answers; a database address has no server and needs none."""
    return complaint(uri) is None


def answers(uri: str) -> bool:
    """Whether a server is there, even one that does not know this login yet."""
    return complaint(uri) in (None, REFUSED)


def connect(uri: str, patience: float = 0) -> "MlflowClient":
    """A client of a server that answers, or that does so within `patience` seconds.

    Raises:
        TrackingError: nothing answers there.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            _check(uri)
            break
        except TrackingError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(2)
    configure()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def configure() -> None:
    """Set MLflow's own variables before it is imported: no telemetry, no pickle, retries for OUTAGE_SECONDS."""
    os.environ |= SAFE
    defaults = {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries(OUTAGE_SECONDS)),
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": str(BACKOFF_SECONDS),
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
        # Files go through the server: its store is often on a network that its clients do not reach.
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "MLFLOW_TRACKING_AUTH": OUTAGE_LOGIN,
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # so that --json prints only JSON
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def retries(seconds: float) -> int:
    """Number of retries that together wait at least so many seconds; MLflow allows 10."""
    return next((count for count in range(1, 10) if _waits(count) >= seconds), 10)


def longest_call() -> float:
    """Most seconds that a call can take: by then MLflow's client has answered or given up."""
    configure()
    count, timeout = (os.environ[f"MLFLOW_HTTP_REQUEST_{name}"] for name in ("MAX_RETRIES", "TIMEOUT"))
    return _waits(int(count)) + (int(count) + 1) * float(timeout)


def _waits(count: int) -> float:
    """Seconds that so many retries wait together: 0, 2, 4, 8 ..., each at most 120."""
    return sum(min(120.0, BACKOFF_SECONDS * 2.0**retry) for retry in range(1, count))


def as_tracking_errors(method: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Turn errors of MLflow and its HTTP library into a TrackingError of one sentence."""

    @functools.wraps(method)
    def asking(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            return method(*args, **kwargs)
        except (MlflowException, RequestException) as error:
            uri = getattr(args[0], "uri", "")
            raise TrackingError(_sentence(uri, method.__qualname__, str(error))) from error

    return asking


def quoted(value: str) -> str:
    """A value for a filter of MLflow's, in quotes that it does not hold itself.

    Raises:
        TrackingError: it holds both kinds of quotes, which MLflow's filters cannot express.
    """
    mark = '"' if "'" in value else "'"
    if mark in value:
        raise TrackingError(f"Expected a value without ' or without \" to search MLflow for, got {value}: rename it.")
    return f"{mark}{value}{mark}"


def pages(ask: Callable[[str | None], Any]) -> list[Any]:
    """All items of a search that answers page by page."""
    found, token = [], None
    while True:
        page = ask(token)
        found += page
        token = page.token
        if not token:
            return found


@functools.cache  # only success is cached: a server that answered once is waited for when it goes away
def _check(uri: str) -> None:
    wrong = complaint(uri)
    if wrong:
        raise TrackingError(
            f"Expected an MLflow server at {uri}, but {wrong}: start it with `pneumo up`, "
            "or correct tracking.uri in mlflow.yaml."
        )


def complaint(uri: str) -> str | None:
    """What is wrong with a server, or None if its API answers."""
    if not uri.startswith(("http://", "https://")):
        return None
    import httpx

    try:
        # /health answers 200 even if the API answers 403.
        address = f"{uri}/api/2.0/mlflow/experiments/search?max_results=1"
        answer = httpx.get(address, timeout=PROBE_SECONDS, auth=login())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"it does not answer ({error})"
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return REFUSED
    return None if answer.status_code == httpx.codes.OK else f"it answered with HTTP status {answer.status_code}"


def login() -> tuple[str, str] | None:
    """User and password as MLflow's own client reads them; None without a user."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    return (user, password) if user else None


def _sentence(uri: str, asked: str, message: str) -> str:
    reason = message.strip().splitlines()[0] if message.strip() else "it gave no reason"
    if failing := TOO_MANY.search(message):
        return (
            f"MLflow at {uri} answers {asked} with HTTP status {failing[1]} again and again: see the log of the server,"
            " whose database or store of artifacts may have a full disk, and run again."
        )
    if "Max retries exceeded" in message or "Connection" in message or "timed out" in message:
        return (
            f"MLflow at {uri} stopped answering during {asked}: see its log, start it with `pneumo up`, and run again."
        )
    return f"MLflow at {uri} refused {asked}: {reason}"
