"""Where a run ran: versions of packages, the code's commit, the user."""

import getpass
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

REQUESTER = "pneumo.requester"  # label of a flow run, tag of its MLflow run: who asked for it
FLOW_RUN = "prefect.flow_run_id"  # tag of every MLflow run of a flow run
OURS = ("mlflow.source.name", "pneumo")  # tag of every run that pneumo makes, and of no other
PACKAGES = ("pneumo", "tensorflow", "keras", "numpy", "mlflow", "prefect", "great-expectations", "scikit-learn")
PROJECT = Path(__file__).parents[2]


@cache
def system_tags() -> dict[str, str]:
    """Tags of every run; `git.changed` says whether the tree differed from its commit."""
    versions = {f"version.{name}": found for name in PACKAGES if (found := installed(name))}
    source = {**dict([OURS]), "mlflow.source.type": "LOCAL", "mlflow.user": user()}
    return {**source, "version.python": platform.python_version(), "machine": platform.node(), **versions, **_commit()}


def installed(package: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def user() -> str:
    """The user of MLflow's login, else of the machine; a container's user may have none."""
    if login := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        return login
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _commit() -> dict[str, str]:
    """The commit as tags; none if the code is no git tree, such as in an installed wheel or a container without git."""
    if not (PROJECT / ".git").exists():
        return {}
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return {"mlflow.source.git.commit": commit, "git.changed": str(bool(changes)).lower()} if commit else {}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PROJECT), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
