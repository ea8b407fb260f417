"""The running services of compose.yaml, and how their people and programs reach them."""

import json
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.containers.engine import PROJECT, Engine

COMPOSE = PROJECT / "infra" / "compose.yaml"
SMALL = {"data": "phantom:96", "backbones": ["MobileNet:0.25"], "epochs": 1, "image_size": 32, "ensemble": False}
HARDENED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Team:
    """The running services of compose.yaml, and the addresses that are published."""

    engine: Engine
    images: dict[str, str]
    name: str
    file: Path
    secrets: dict[str, str]
    addresses: dict[str, str]
    disks: dict[str, Path] = field(default_factory=dict)  # folders below volumes, on file systems of their own

    def compose(self, *words, timeout=300):
        files = ("--env-file", self.file, "--file", COMPOSE, "--file", self.file.with_name("trial.yaml"))
        start = [*self.engine.compose, "--project-name", self.name, *files]
        return subprocess.run(
            [*map(str, [*start, *words])], env=self.engine.environment, capture_output=True, text=True, timeout=timeout
        )

    def containers(self, service=""):
        """What the engine knows of each container, or of those of one service."""
        label = f"label=com.docker.compose.project={self.name}"
        ids = self.engine.call("ps", "--all", "--quiet", "--filter", label).stdout.split()
        found = json.loads(self.engine.call("inspect", *ids).stdout) if ids else []
        return [item for item in found if service in ("", service_of(item))]

    def ended(self, service):
        """Whether a service has come to its end, which must be a good one."""
        (found,) = self.containers(service)
        state = found["State"]
        assert state["Status"] != "exited" or state["ExitCode"] == 0, self.compose("logs", service).stdout[-3000:]
        return state["Status"] == "exited"

    def inside(self, service, *words, timeout=600):
        running = [item for item in self.containers(service) if item["State"]["Running"]]
        return self.engine.call("exec", running[0]["Id"], *words, timeout=timeout)

    def well(self):
        """Whether `pneumo doctor`, asked on a worker, finds nothing that failed."""
        said = self.inside("worker", "pneumo", "doctor", "--json").stdout
        return bool(said) and not [row for row in json.loads(said) if row["state"] == "failed"]

    def prefect(self, path, body=None):
        """What Prefect's API answers: to a POST if there is a body."""
        url, login = f"http://127.0.0.1:{self.addresses['PREFECT_PORT']}/api/{path}", self.secrets["PREFECT_LOGIN"]
        answer = httpx.request("GET" if body is None else "POST", url, json=body, auth=(*login.split(":"),), timeout=60)
        return answer.raise_for_status().json()

    def mlflow(self, path, body=None):
        """What MLflow's API answers its administrator: to a POST if there is a body."""
        url = f"http://127.0.0.1:{self.addresses['MLFLOW_PORT']}/api/2.0/mlflow/{path}"
        login = ("admin", self.secrets["MLFLOW_ADMIN_PASSWORD"])
        answer = httpx.request("GET" if body is None else "POST", url, json=body, auth=login, timeout=60)
        return answer.raise_for_status().json()

    def score(self, image):
        """What the service answers to one image."""
        login = {"Authorization": f"Bearer {self.secrets['PNEUMO_SERVE_TOKEN']}", "Content-Type": "image/jpeg"}
        url = f"http://127.0.0.1:{self.addresses['SERVE_PORT']}/v1/predict"
        return httpx.post(url, content=image, headers=login, timeout=120)

    def ready(self):
        """What the service says of itself."""
        return httpx.get(f"http://127.0.0.1:{self.addresses['SERVE_PORT']}/ready", timeout=20)

    def ask_for_run(self, environment=None, **parameters):
        """Ask for a training, with more in its environment; gives its id."""
        deployment = self.prefect("deployments/name/pneumonia/train")["id"]
        body = {"parameters": SMALL | parameters, "job_variables": {"env": environment or {}}}
        return self.prefect(f"deployments/{deployment}/create_flow_run", body)["id"]

    def state(self, run):
        return self.prefect(f"flow_runs/{run}")["state"]

    def end_of(self, *runs, seconds=900):
        """The states in which runs have ended."""
        wait_for(lambda: all(self.state(run)["type"] in FINAL for run in runs), seconds, f"the end of {runs}")
        return [self.state(run)["type"] for run in runs]

    def tracked(self, run):
        """How MLflow's runs of a flow run stand."""
        return [item["info"]["status"] for item in self._tracked(f"tags.`prefect.flow_run_id` = '{run}'")]

    def open_runs(self):
        """What is not closed: Prefect's runs under way, and MLflow's that are running."""
        under_way = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
        running = self._tracked("attributes.status = 'RUNNING'")
        return [item["id"] for item in self.prefect("flow_runs/filter", under_way)] + running

    def _tracked(self, words):
        found = self.mlflow("experiments/search", {"max_results": 100})["experiments"]
        (experiment,) = [item["experiment_id"] for item in found if item["name"] == "pneumonia"]
        return self.mlflow("runs/search", {"experiment_ids": [experiment], "filter": words}).get("runs", [])


def service_of(container):
    return container["Config"]["Labels"]["com.docker.compose.service"]


def wait_for(what, seconds, words):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):  # a server that is away has nothing to say yet
            if what():
                return
        time.sleep(2)
    pytest.fail(f"not within {seconds} s: {words}")
