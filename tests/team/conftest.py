"""The team server on this machine: Postgres, an S3 server that checks signatures, Prefect and MLflow with logins.

`make test-services` runs these; infra/dev/packages.sh installs what they need.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import free_port

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# What is tested is the path, not the model: the gates that judge it are open.
OPEN = {
    "MINIMUM_AUC": "0",
    "MINIMUM_SENSITIVITY": "0",
    "MINIMUM_SPECIFICITY": "0",
    "MAXIMUM_CALIBRATION_ERROR": "1",
    "MAXIMUM_SLICE_DROP": "1",
    "MAXIMUM_LATENCY_MS": "60000",
}


@dataclass(frozen=True)
class Team:
    """A running team server: its folder and the environment of someone who works with it."""

    folder: Path
    environment: dict[str, str]

    @property
    def home(self) -> Path:
        return Path(self.environment["PNEUMO_HOME"])

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.environment['PNEUMO_SERVICES__PREFECT_PORT']}"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.environment['PNEUMO_SERVICES__MLFLOW_PORT']}"

    def call(self, *command: object, **variables: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(word) for word in command]
        return subprocess.run(
            [str(BIN / arguments[0]), *arguments[1:]], env=self.environment | variables, cwd=PROJECT,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def database(self, name: str) -> str:
        """An address of one of the two databases."""
        stored = self.environment[
            {"mlflow": "MLFLOW_BACKEND_STORE_URI", "prefect": "PREFECT_SERVER_DATABASE_CONNECTION_URL"}[name]
        ]
        return "postgresql://" + stored.partition("://")[2]

    def ask(self, name: str, question: str) -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(self.database(name)) as connection:
            return connection.execute(question).fetchall()


def secrets_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture(scope="session")
def team() -> Iterator[Team]:
    if not shutil.which("swift-proxy-server"):
        pytest.skip("the S3 server is not installed: infra/dev/packages.sh")
    pytest.importorskip("flask_wtf", reason="MLflow's logins need the package Flask-WTF (mlflow[auth])")
    folder = Path(tempfile.mkdtemp(prefix="pneumo-team-"))
    folder.chmod(0o711)  # Postgres runs as another user and has its data below
    script = PROJECT / "infra/dev/team.sh"
    started = subprocess.run(
        [script, "up", folder], env=os.environ | {"FIRST_PORT": str(first_port())}, capture_output=True, text=True
    )
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        given = secrets_of((folder / "team.env").read_text())
        gates = {f"PNEUMO_PROMOTION__{name}": value for name, value in OPEN.items()}
        team = Team(folder, {**os.environ, **given, **gates, "PNEUMO_POOL__RUNS_AT_ONCE": "4"})
        up = team.call("pneumo", "up", "--bucket")
        assert up.returncode == 0, up.stdout + up.stderr
        yield team
        team.call("pneumo", "down")
    finally:
        subprocess.run([script, "down", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def first_port() -> int:
    """The first of eight ports that are free now."""
    import socket

    while True:
        first = min(free_port(), 65000)
        sockets = [socket.socket() for _ in range(8)]
        try:
            for offset, probe in enumerate(sockets):
                probe.bind(("127.0.0.1", first + offset))
            return first
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
