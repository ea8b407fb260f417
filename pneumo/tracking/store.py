"""Whether an MLflow server's stores work: its database's schema, and artifacts through it."""

import re
import sqlite3
import uuid
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import httpx

from pneumo.errors import TrackingError
from pneumo.tracking.connection import MISSING, login

REVISION = re.compile(r'^(down_revision|revision)\b[^=]*=\s*["\'](\w+)["\']', re.MULTILINE)
EXPERIMENT = "/api/2.0/mlflow/experiments/get-by-name"
DELETIONS = 3
PROBE = "pneumo-doctor.txt"  # always the same, so that where nothing can be deleted a single file stays
ROUTE = "/api/2.0/mlflow-artifacts/artifacts"


def schema(database: Path) -> tuple[str, str]:
    """Revision of a SQLite database's schema, and the one that the installed MLflow wants.

    Raises:
        TrackingError: the file is no database of MLflow's.
    """
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        raise TrackingError(f"Expected an MLflow database in {database}, but it cannot be read ({error}).") from None
    return str(found), wanted_revision()


def wanted_revision() -> str:
    """The newest revision among MLflow's migrations, read from their files: importing MLflow takes seconds."""
    package = find_spec("mlflow")
    if package is None or package.origin is None:
        raise TrackingError("Expected MLflow to be installed, found none: run `make train` once.")
    files = (Path(package.origin).parent / "store" / "db_migrations" / "versions").glob("[!_]*.py")
    pairs = [dict(REVISION.findall(file.read_text(encoding="utf-8"))) for file in files]
    newest = {pair["revision"] for pair in pairs} - {pair.get("down_revision") for pair in pairs}
    return ", ".join(sorted(newest))


def artifact_round_trip(uri: str, experiment: str, timeout: float = 5) -> tuple[str, str]:
    """Write, read and delete an artifact through a server; below an experiment, as it may forbid other places.

    Returns:
        What failed in writing or reading, and what in deleting; each is empty if nothing did.
    """
    wrong, left = _round_trip(uri, experiment, PROBE, timeout)
    # Another doctor may have deleted it before it was read, so try once more with a name that nobody else knows.
    return _round_trip(uri, experiment, f"{uuid.uuid4().hex}-{PROBE}", timeout) if wrong else (wrong, left)


def _round_trip(uri: str, experiment: str, name: str, timeout: float) -> tuple[str, str]:
    content = b"written by pneumo doctor"
    try:
        with httpx.Client(timeout=timeout, auth=login()) as client:
            found = client.get(f"{uri}{EXPERIMENT}", params={"experiment_name": experiment})
            if found.is_error and MISSING not in found.text:
                return _refusal(found), ""
            place = "" if found.is_error else f"{found.json()['experiment']['experiment_id']}/"
            address = f"{uri}{ROUTE}/{place}{name}"
            for answer in (client.put(address, content=content), client.get(address)):
                if answer.is_error:
                    return _refusal(answer), ""
            if answer.content != content:
                return "what was read is not what was written", ""
            return "", _delete(client, address)
    except httpx.HTTPError as error:
        return f"it does not answer ({error})", ""


def _delete(client: httpx.Client, address: str) -> str:
    """Delete a file; why not, or empty. MLflow fails, with status 500, where another doctor deletes it that moment."""
    for _ in range(DELETIONS):
        answer = client.delete(address)
        if answer.is_success or client.get(address).status_code == httpx.codes.NOT_FOUND:
            return ""
    return _refusal(answer)


def _refusal(answer: httpx.Response) -> str:
    said = "" if "html" in answer.headers.get("content-type", "") else f": {answer.text[:200]}"
    return f"{answer.request.method} gives HTTP status {answer.status_code}{said}"
