"""What a Prefect server must have for this project: result storage, work pool, deployments, automations."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pneumo.data.object_storage import Bucket
from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import access, automations, processes
from pneumo.operations.embedded import PROJECT, environment, folder_of
from pneumo.operations.prefect_api import PrefectApi, address
from pneumo.operations.schedule import variables
from pneumo.operations.switched_off import kept_off
from pneumo.settings import Settings
from pneumo.settings.servers import Pool
from pneumo.tracking.connection import answers, login
from pneumo.tracking.logins import ensure_reader, ensure_worker

DEPLOYMENTS = Path("flows/prefect.yaml")
RESULTS = "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK"
S3_BLOCK = "s3-bucket"
# Types of the parameters that a deployment's form shows and checks.
FORMS = [
    PROJECT / "pneumo" / name
    for name in (
        "flow_parameters.py",
        "records/base.py",
        "training/candidates/presets.py",
        "training/candidates/spec.py",
    )
]
FOLDER = "results"


def register(settings: Settings, say: Callable[[str], None], api: str | None = None) -> None:
    """Register pool, result storage and deployments on a Prefect server; by default the one in force."""
    api = api or address(settings)
    folder_of(settings).mkdir(parents=True, exist_ok=True)
    ensure_logins(settings)
    register_pool(settings.pool, PrefectApi(api))
    ensure_results(settings, environment(settings, api))
    _register_deployments(settings, say, api)


def wait_for_servers(settings: Settings, seconds: float) -> None:
    """Wait until Prefect and MLflow answer, but no longer; what does not answer then is told by what is asked next."""
    prefect, deadline = PrefectApi(address(settings)), time.monotonic() + seconds
    while time.monotonic() < deadline and not (prefect.healthy() and answers(settings.tracking_uri)):
        time.sleep(1)


def ensure_logins(settings: Settings) -> None:
    """Make the logins of workers (MLFLOW_TRACKING_...) and of the service, if the administrator's is known here.

    Raises:
        TrackingError: MLflow refused.
    """
    worker, administrator = login(), access.administrator()
    if administrator and (password := os.environ.get(access.SERVICE_LOGIN)):
        ensure_reader(settings.tracking_uri, administrator, (access.SERVICE, password))
    if worker and administrator and worker[0] != administrator[0]:
        models = (settings.registry.model, settings.registry.phantom_model)
        ensure_worker(settings.tracking_uri, administrator, worker, settings.tracking.experiment, models)


def make_bucket(settings: Settings) -> None:
    """Make the bucket of data.storage, if there is none."""
    if settings.data.storage:
        Bucket(settings.data.storage, settings.data.s3_endpoint).make()


def register_pool(pool: Pool, api: PrefectApi) -> None:
    """Make the work pool as the settings say; an existing one gets their limit and template."""
    api.ensure_pool(pool.type, pool.runs_at_once, _template(pool, pool.template) if pool.template else None)


def results_block() -> str:
    """Name of the S3 block for Prefect's results; empty if they stay on this machine."""
    kind, _, name = os.environ.get(RESULTS, "").partition("/")
    return name if kind == S3_BLOCK else ""


def ensure_results(settings: Settings, environment: Mapping[str, str]) -> None:
    """Make the block of Prefect's results, if PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK names one of an S3 bucket.

    Raises:
        ServiceError: Prefect refused.
        SettingsError: data.storage is empty, so there is no bucket for them.
    """
    name = results_block()
    if not name:
        return
    if not settings.data.storage:
        raise SettingsError(f"Expected data.storage, whose bucket {RESULTS} uses, but it is empty: set s3://...")
    bucket = settings.data.storage.removeprefix("s3://").partition("/")[0]
    command = [sys.executable, "-m", "tasks.support.results", name, bucket, FOLDER]
    done = subprocess.run(  # noqa: S603 - our own module
        command, env=dict(environment), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise ServiceError(f"Expected Prefect to take the block {S3_BLOCK}/{name}, but it refused: {last[0]}")


def _register_deployments(settings: Settings, say: Callable[[str], None], api: str) -> None:
    """Register the deployments of flows/prefect.yaml and their automations, unless this server has them already."""
    sources = [PROJECT / DEPLOYMENTS, *FORMS, Path(automations.__file__), *sorted((PROJECT / "flows").glob("*.py"))]
    parts = [*(file.read_bytes() for file in sources), repr((api, variables(settings), settings.pool.type)).encode()]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
    registered = folder_of(settings) / "deployed"
    present = set(deployment_names()) <= PrefectApi(api).deployments().keys()
    if present and registered.is_file() and registered.read_text() == digest:
        return
    say("registering the deployments")
    with kept_off(PrefectApi(api), say):
        _deploy(settings, api)
        automations.ensure_automations(PrefectApi(api), settings.pool)
    registered.write_text(digest)


def _deploy(settings: Settings, api: str) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(DEPLOYMENTS)]
    result = subprocess.run(  # noqa: S603 - our own command
        command, env=environment(settings, api), cwd=PROJECT, capture_output=True, text=True, check=False
    )
    log = folder_of(settings) / "deploy.log"
    log.write_text(result.stdout + result.stderr)
    if result.returncode != 0:
        raise ServiceError(
            f"Expected {DEPLOYMENTS} to be deployed, but Prefect refused; see {log}: {processes.last_words(log)}"
        )


def deployment_names() -> list[str]:
    """Names of the deployments in flows/prefect.yaml, without those of their flows."""
    import yaml

    listed = yaml.safe_load((PROJECT / DEPLOYMENTS).read_text(encoding="utf-8"))["deployments"]
    return [item["name"] for item in listed]


def _template(pool: Pool, file: Path) -> dict[str, Any]:
    """The base job template, with the values of pool.variables as defaults.

    Raises:
        SettingsError: there is no such file, or it lacks one of the variables.
    """
    if not file.is_file():
        raise SettingsError(f"Expected a job template in {file}, found no file: correct pool.template.")
    template: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    known = template["variables"]["properties"]
    if unknown := sorted(pool.variables.keys() - known.keys()):
        raise SettingsError(
            f"Expected pool.variables among {', '.join(known)}, but {', '.join(unknown)} is not: correct it."
        )
    for name, value in pool.variables.items():
        known[name]["default"] = value
    return template
