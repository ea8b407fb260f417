"""Who may reach the servers: only this machine, or whoever has a login."""

import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from pneumo.errors import ServiceError
from pneumo.settings import Settings
from pneumo.settings.unattended import Retention

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PREFECT_LOGIN, MLFLOW_LOGIN = "PREFECT_SERVER_API_AUTH_STRING", "MLFLOW_AUTH_ADMIN_PASSWORD"
ADMINISTRATOR = "MLFLOW_AUTH_ADMIN_USERNAME"
SERVICE, SERVICE_LOGIN = "serve", "MLFLOW_SERVE_PASSWORD"  # of the service that scores X-rays, which only reads
DATABASE, SESSIONS = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_FLASK_SERVER_SECRET_KEY"
UI_API = "PREFECT_SERVER_UI_API_URL"  # where Prefect's page asks, from a person's browser
ARTIFACTS = "MLFLOW_ARTIFACTS_DESTINATION"
ELSEWHERE = "PNEUMO_DATABASE_ELSEWHERE"  # what processes other than the server know of MLflow's database
VACUUM, SECONDS_A_DAY = "PREFECT_SERVER_SERVICES_DB_VACUUM_", 86_400
LOCK_SECONDS = 60  # seconds that a writer waits for another one's lock
SERVER_ONLY = frozenset(
    {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL", PREFECT_LOGIN, DATABASE, SESSIONS,
     MLFLOW_LOGIN, ADMINISTRATOR, SERVICE_LOGIN}
)  # fmt: skip


def require_logins(settings: Settings) -> None:
    """Refuse to open a server without logins to other machines.

    Raises:
        ServiceError: services.host is not loopback and a login is missing.
    """
    missing = [name for name in (PREFECT_LOGIN, MLFLOW_LOGIN) if not os.environ.get(name)]
    if settings.services.host not in LOOPBACK and missing:
        raise ServiceError(
            f"Expected logins for servers that other machines can reach (services.host is {settings.services.host}), "
            f"but {' and '.join(missing)} is not set: set it, or services.host to 127.0.0.1."
        )


def administrator() -> tuple[str, str] | None:
    """Login of MLflow's administrator, known where servers are started or set up, but to no worker or flow run."""
    password = os.environ.get(MLFLOW_LOGIN)
    return (os.environ.get(ADMINISTRATOR, "admin"), password) if password else None


def mlflow_options(settings: Settings) -> tuple[str, ...]:
    """Options of `mlflow server`: host names it answers to, pages that may call it, and its login app if set."""
    port = settings.services.mlflow_port
    origins = _origins(settings, port, settings.mlflow_page)
    hosts = ",".join(urlsplit(origin).netloc for origin in origins)
    doors = ("--allowed-hosts", hosts, "--cors-allowed-origins", ",".join(origins))
    return (*doors, "--app-name", "basic-auth") if os.environ.get(MLFLOW_LOGIN) else doors


def own_environment(service: str, settings: Settings) -> dict[str, str]:
    """Environment of a server that no other process may know: databases, logins, and pages that may call it.

    By environment, because every user of the machine can read a command line.
    """
    given = {name: os.environ[name] for name in SERVER_ONLY if name in os.environ}
    if service == "prefect":
        origins = ",".join(_origins(settings, settings.services.prefect_port, settings.prefect_page))
        own = {name: value for name, value in given.items() if name.startswith("PREFECT_")}
        pages = {
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origins,
            UI_API: os.environ.get(UI_API) or f"{settings.prefect_page}/api",
        }
        return own | pages | _vacuum(settings.retention)
    if service == "mlflow":
        own = {name: value for name, value in given.items() if name.startswith("MLFLOW_")}
        return own | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | _mlflow_environment(settings)
    return {}


def artifact_store(settings: Settings) -> str | None:
    """Where the MLflow server keeps artifacts, a folder or s3://...; None if it is not known here."""
    given = os.environ.get(ARTIFACTS)
    return given or (None if settings.tracking.uri else str(settings.home / "artifacts"))


def database(settings: Settings) -> str | None:
    """Address of the MLflow server's database, which may hold a password; None if it is not known here."""
    if settings.tracking.uri or os.environ.get(ELSEWHERE):
        return os.environ.get(DATABASE)
    return _server_database(settings)


def prepare_database(settings: Settings) -> None:
    """Set write-ahead mode on MLflow's own SQLite file, in which readers and a writer do not wait for each other."""
    if os.environ.get(DATABASE):
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(settings.home / "mlflow.db", timeout=LOCK_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _server_database(settings: Settings) -> str:
    return os.environ.get(DATABASE, f"sqlite:///{settings.home / 'mlflow.db'}?timeout={LOCK_SECONDS}")


def _vacuum(limits: Retention) -> dict[str, str]:
    """Prefect's own removal of old flow runs, every hour; variables that are set already take precedence."""
    if not limits.apply:
        return {}
    wanted = {"ENABLED": "events,flow_runs", "RETENTION_PERIOD": str(int(limits.days * SECONDS_A_DAY))}
    return {f"{VACUUM}{name}": os.environ.get(f"{VACUUM}{name}", value) for name, value in wanted.items()}


def _mlflow_environment(settings: Settings) -> dict[str, str]:
    store = _server_database(settings)
    if not os.environ.get(MLFLOW_LOGIN):
        return {DATABASE: store}
    file = settings.home / "services" / "mlflow-auth.ini"
    _write_private(file, _authorisation(store))
    key = os.environ.get(SESSIONS) or secrets.token_hex(32)
    return {DATABASE: store, "MLFLOW_AUTH_CONFIG_PATH": str(file), SESSIONS: key}


def _authorisation(database: str) -> str:
    """Configuration of MLflow's login app; whoever has a login may read. configparser needs percent signs doubled."""
    return (
        "[mlflow]\n"
        "default_permission = READ\n"
        f"database_uri = {database.replace('%', '%%')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "admin_username = admin\n"
        "auth_cache_ttl_seconds = 60\n"  # hashing a password takes 0.1 s, at every request
    )


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


def _names(settings: Settings) -> list[str]:
    return sorted({"localhost", "127.0.0.1", settings.services.host, *settings.services.names})


def _origins(settings: Settings, port: int, page: str) -> list[str]:
    return sorted({*(f"http://{name}:{port}" for name in _names(settings)), page})
