"""MLflow's login app while its database is away: a real server answers 401 to a good password."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from requests import HTTPError

from pneumo.errors import TrackingError
from pneumo.tracking import Tracker, outage_login
from pneumo.tracking.connection import OUTAGE_SECONDS

ADMINISTRATOR = ("admin", "a-long-password")
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
AWAY = 6  # seconds, over which the first two repetitions fall


class Logins:
    """An MLflow server with logins, and its table of users, which can be away."""

    def __init__(self, address: str, users: Path) -> None:
        self.address, self.users = address, users

    def rename(self, before: str, after: str) -> None:
        with closing(sqlite3.connect(self.users, timeout=30)) as connection:
            connection.execute(f"ALTER TABLE {before} RENAME TO {after}")


@pytest.fixture
def logins(tmp_path: Path, mlflow_control: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logins]:
    pytest.importorskip("flask_wtf", reason="MLflow's logins need the package Flask-WTF (mlflow[auth])")
    user, password = ADMINISTRATOR
    (tmp_path / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{tmp_path}/users.db\n"
        f"admin_username = {user}\nadmin_password = {password}\nauth_cache_ttl_seconds = 0\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(tmp_path / "auth.ini"))
    monkeypatch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "of this test")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    port = mlflow_control.free_port()
    server = mlflow_control.start(tmp_path, port, "--app-name", "basic-auth")
    yield Logins(f"http://127.0.0.1:{port}", tmp_path / "users.db")
    mlflow_control.stop(server)


def upload_of(logins: Logins, folder: Path) -> tuple[Any, Path]:
    """The place of a new run's artifacts, with a login that was taken, and a file."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    tracker = Tracker(logins.address, "outage")
    run = tracker.client.get_run(tracker.runs.start("survivor"))
    file = folder / "large.bin"
    file.write_bytes(bytes(range(256)) * 1000)
    return get_artifact_repository(run.info.artifact_uri, tracking_uri=logins.address), file


def test_an_upload_is_repeated_until_the_logins_are_back(logins: Logins, tmp_path: Path) -> None:
    store, file = upload_of(logins, tmp_path)
    logins.rename("users", "users_away")
    assert httpx.get(f"{logins.address}{ARTIFACTS}/", auth=ADMINISTRATOR).status_code == httpx.codes.UNAUTHORIZED
    uploading = threading.Thread(target=store.log_artifact, args=(str(file),))
    uploading.start()
    time.sleep(AWAY)
    logins.rename("users_away", "users")
    uploading.join(60)
    (tmp_path / "back").mkdir()
    stored = store.download_artifacts("large.bin", str(tmp_path / "back"))
    assert Path(stored).read_bytes() == file.read_bytes()


def test_a_login_that_stays_refused_is_repeated_once_and_then_fails_at_once(
    logins: Logins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = upload_of(logins, tmp_path)
    waits: list[float] = []
    monkeypatch.setattr(outage_login, "retries", lambda seconds: waits.append(seconds) or 1)
    logins.rename("users", "users_away")
    for _ in range(2):
        with pytest.raises(HTTPError, match="401"):
            store.log_artifact(str(file))
    assert waits == [OUTAGE_SECONDS]


def test_a_login_that_was_never_taken_is_refused_at_once(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Tracker(logins.address, "outage")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "mistyped")
    with monkeypatch.context() as patched, pytest.raises(TrackingError, match="refused"):
        patched.setattr(outage_login, "_repeated", lambda *_: pytest.fail("it waited for a wrong password"))
        tracker.runs.start("never")
