"""The databases of Prefect and MLflow: copied while their servers work, and put back into empty places."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import access
from pneumo.settings import Settings

PREFECT_ADDRESSES = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
OPTIONS = {  # of an address, which decide whom the password is told; `ssl` is that of asyncpg
    "ssl": "PGSSLMODE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY", "host": "PGHOST", "port": "PGPORT",
}  # fmt: skip
TABLES = "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'public'"


@dataclass(frozen=True)
class Database:
    """One of the two: a SQLite file, or a Postgres database at an address, which holds a password."""

    name: str
    file: Path
    address: str = ""

    @property
    def copy(self) -> str:
        """The name of its copy in a backup."""
        return f"{self.name}.dump" if self.address else f"{self.name}.db"

    def save(self, folder: Path) -> None:
        """Write a copy as of one moment; who works with the database meanwhile does not notice.

        Raises:
            ServiceError: it cannot be read.
        """
        if self.address:
            self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={folder / self.copy}")
        else:
            _copy_sqlite(self.file, folder / self.copy)

    def require_empty(self) -> None:
        """Refuse a place that holds something.

        Raises:
            ServiceError: it does.
        """
        if self.address and self._run("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", TABLES) != "0":
            words = (
                f"Expected an empty database for {self.name}, but it has tables: make a new one, see infra/postgres."
            )
            raise ServiceError(words)
        if not self.address and self.file.exists():
            raise ServiceError(
                f"Expected no database of {self.name} yet, but {self.file} is there: name another, or move it away."
            )

    def load(self, folder: Path) -> None:
        """Put a copy into its Postgres database, all of it or nothing; that of SQLite is a file to be copied.

        Raises:
            ServiceError: Postgres refuses it.
        """
        # The extension that Prefect needs is the administrator's, and so is its comment.
        whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments")
        self._run("pg_restore", *whole, f"--dbname={_variables(self.address)['PGDATABASE']}", str(folder / self.copy))

    def _run(self, program: str, *options: str) -> str:
        """What one of Postgres's programs says; the password goes by the environment, a command line is public."""
        if shutil.which(program) is None:
            raise ServiceError(f"Expected the program {program}, found none: install Postgres's client programs.")
        done = subprocess.run(  # noqa: S603 - Postgres's own programs
            [program, *options],
            env={**os.environ, **_variables(self.address)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
            raise ServiceError(f"Expected {program} to work on the database of {self.name}, but it says: {last[0]}")
        return done.stdout.strip()


def find_databases(settings: Settings) -> tuple[Database, Database]:
    """Those of the servers that this machine starts, or whose addresses its environment has.

    Raises:
        SettingsError: MLflow's is not known here, or one is neither SQLite nor Postgres.
    """
    prefect = next(filter(None, (os.environ.get(name) for name in PREFECT_ADDRESSES)), "")
    mlflow = access.database(settings)
    if mlflow is None:
        raise SettingsError(
            f"Expected to know MLflow's database, but tracking.uri names a server elsewhere: run this there, or set "
            f"{access.DATABASE} and {PREFECT_ADDRESSES[0]}."
        )
    embedded = settings.home / "prefect" / "prefect.db", settings.home / "mlflow.db"
    return _database("prefect", embedded[0], prefect), _database("mlflow", embedded[1], mlflow)


def _database(name: str, embedded: Path, address: str) -> Database:
    kind = address.partition("://")[0].partition("+")[0]
    if kind in ("", "sqlite"):
        given = urlsplit(address).path[1:] if address else ""
        return Database(name, Path(given) if given else embedded)
    if kind in ("postgresql", "postgres"):
        return Database(name, embedded, address)
    raise SettingsError(f"Expected the database of {name} in SQLite or Postgres, but it is {kind}: use its own backup.")


def _copy_sqlite(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as from_file,
            closing(sqlite3.connect(target)) as to_file,
        ):
            target.chmod(0o600)  # as the servers make theirs; it is restored with these rights
            from_file.backup(to_file)
            found = to_file.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise ServiceError(
            f"Expected a database in {source}, but it cannot be read ({error}): run `pneumo up` once."
        ) from None
    if found != "ok":
        raise ServiceError(
            f"Expected a sound database in {source}, but SQLite says {found}: keep it, restore a backup."
        )


def _variables(address: str) -> Mapping[str, str]:
    """An address as libpq's variables."""
    parts = urlsplit(address)
    told = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found: dict[str, str | int | None] = {
        "PGHOST": parts.hostname,
        "PGPORT": parts.port,
        "PGUSER": parts.username and unquote(parts.username),
        "PGPASSWORD": parts.password and unquote(parts.password),
        "PGDATABASE": unquote(parts.path[1:]),
        **{variable: told.get(name) for name, variable in OPTIONS.items() if name in told},
    }
    return {name: str(value) for name, value in found.items() if value}
