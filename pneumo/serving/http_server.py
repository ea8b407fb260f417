"""A registered version over HTTP, by MLflow's scoring server: on this machine alone, in a process without secrets."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pneumo.serving.fresh_process.client import environment_without_secrets
from pneumo.tracking import ModelVersion, Tracker

HOST = "127.0.0.1"  # MLflow's scoring server has no login and no limit on the size of a request


def serve(tracker: Tracker, version: ModelVersion, port: int) -> int:
    """Answer POST /invocations on HOST until Ctrl-C or a termination; returns the server's exit status.

    Raises:
        TrackingError: the version's files are not what was registered.
    """
    # A terminated parent would leave the server behind, and the files.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tracker.files.verified(version.uri) as model, tempfile.TemporaryDirectory(prefix="pneumo-") as home:
        server = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command(model, port), env=_environment(home), cwd=home, stdin=subprocess.DEVNULL
        )
        try:
            return server.wait()
        finally:
            server.terminate()
            server.wait()


def command(model: Path, port: int) -> list[str]:
    """The command that serves a model's folder with the packages that are installed here."""
    program = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model)]
    return [*program, "--env-manager", "local", "--host", HOST, "--port", str(port)]


def _environment(home: str) -> dict[str, str]:
    """MLflow starts uvicorn by its name, so the folder of this Python has to be on the path."""
    known = environment_without_secrets(home)
    return known | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), known.get("PATH", os.defpath)])}
