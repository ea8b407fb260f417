"""The team server in containers, by podman or Docker, as infra/README.md starts it; skipped with the reason otherwise.

ENGINE is the engine with its options (podman, else docker, where that is empty); BUILD_OPTIONS are those of a build,
such as the certificates of a package index. infra/dev/bases.sh makes base images where no registry is reached.
"""

import json
import random
import re
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tests.conftest import free_port
from tests.containers.engine import PROJECT, Engine, build_images, find_engine
from tests.pipeline.conftest import OPEN

COMPOSE = PROJECT / "infra" / "compose.yaml"
SMALL = {"data": "phantom:96", "backbones": ["MobileNet:0.25"], "epochs": 1, "image_size": 32, "ensemble": False}
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    return find_engine(tmp_path_factory)


@pytest.fixture(scope="session")
def images(engine):
    return build_images(engine)


@dataclass(frozen=True)
class Team:
    """The running services of compose.yaml, and the addresses that are published."""

    engine: Engine
    name: str
    file: Path
    secrets: dict[str, str]
    addresses: dict[str, str]

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

    def ask_for_run(self, **parameters):
        """Ask for a training; gives its id."""
        deployment = self.prefect("deployments/name/pneumonia/train")["id"]
        return self.prefect(f"deployments/{deployment}/create_flow_run", {"parameters": SMALL | parameters})["id"]

    def state(self, run):
        return self.prefect(f"flow_runs/{run}")["state"]

    def end_of(self, *runs, seconds=420):
        """The states in which runs have ended."""
        wait_for(lambda: all(self.state(run)["type"] in FINAL for run in runs), seconds, f"the end of {runs}")
        return [self.state(run)["type"] for run in runs]

    def tracked(self, run):
        """How MLflow's runs of a flow run stand."""
        (experiment,) = [
            item["experiment_id"]
            for item in self.mlflow("experiments/search", {"max_results": 100})["experiments"]
            if item["name"] == "pneumonia"
        ]
        chosen = {"experiment_ids": [experiment], "filter": f"tags.`prefect.flow_run_id` = '{run}'"}
        return [item["info"]["status"] for item in self.mlflow("runs/search", chosen).get("runs", [])]


def service_of(container):
    return container["Config"]["Labels"]["com.docker.compose.service"]


@pytest.fixture(scope="session")
def team(engine, images, tmp_path_factory):
    if not engine.compose:
        pytest.skip("the engine has no compose: podman-compose, or Docker's plugin")
    for service in yaml.safe_load(COMPOSE.read_text())["services"].values():
        if "profiles" not in service and "pneumo" not in service["image"]:
            engine.image(re.search(r":-(.*)}", service["image"])[1])
    folder = tmp_path_factory.mktemp("containers")
    given, addresses = _secrets(), _addresses()
    addresses["TLS_FOLDER"] = str(folder / "tls")
    lines = "".join(f"{name}={value}\n" for name, value in (given | addresses).items())
    (folder / "team.env").write_text(lines)
    (folder / "trial.yaml").write_text(yaml.safe_dump({"services": _trial()}))
    team = Team(engine, f"pneumo-test-{secrets.token_hex(3)}", folder / "team.env", given, addresses)
    started = threading.Event()
    checks = threading.Thread(target=_check_health, args=(team, started))
    checks.start()
    try:
        # Podman before 4.6 cannot wait for health, and does not start what depends on a container that has ended: what
        # comes after `setup` is started by itself.
        for words in (("setup",), ("--no-deps", "--scale", "worker=2", "worker", "serve")):
            done = team.compose("up", "--detach", *words, timeout=420)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            wait_for(lambda: team.ended("setup"), 300, "the end of setup")
        started.set()
        yield team
    finally:
        started.set()
        checks.join()
        for item in team.containers():  # podman-compose leaves what restarts this moment, and the second worker
            engine.call("rm", "--force", "--volumes", item["Id"])
        team.compose("--profile", "tls", "down", "--volumes")


def _secrets():
    example = (PROJECT / "infra" / "team.env.example").read_text()
    given = {name: secrets.token_hex(24) for name in re.findall(r"^(\w+)=$", example, re.MULTILINE)}
    return given | {"PREFECT_LOGIN": f"pneumo:{given['PREFECT_LOGIN']}", "AWS_ACCESS_KEY_ID": "pneumo:pneumo"}


def _addresses():
    """Free ports, and addresses that a browser would open behind a proxy."""
    public = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
    return {f"{name}_PORT": str(free_port()) for name in ("PREFECT", "MLFLOW", "SERVE")} | {
        "PUBLIC_HOST": public, "PROXY_ADDRESS": public,
        "PREFECT_ORIGIN": f"https://{public}:8443", "MLFLOW_ORIGIN": f"https://{public}:8444",
    }  # fmt: skip


def _trial():
    """What is other than in compose.yaml: open gates, four trainings at once, and the champion of drawn images."""
    worker = "prefect worker start --pool pneumo --with-healthcheck --limit 2"
    return {
        "setup": {"environment": {"PNEUMO_POOL__RUNS_AT_ONCE": "4"}},
        "worker": {
            "environment": {f"PNEUMO_PROMOTION__{name}": value for name, value in OPEN.items()},
            "command": worker,
        },
        "serve": {
            "environment": {"PNEUMO_SERVE__FOLLOW_SECONDS": "2"},
            "command": "pneumo serve --wait --phantom --host 0.0.0.0",
        },
    }


def _check_health(team, started):
    """Podman leaves the times of health checks to systemd, which may not be there."""
    while team.engine.is_podman and not started.wait(3):
        for item in team.containers():
            team.engine.call("healthcheck", "run", item["Id"])


@pytest.fixture(scope="session")
def ready(team):
    """The team server with both workers online."""

    def online():
        try:
            found = team.prefect("work_pools/pneumo/workers/filter", {})
        except httpx.HTTPError:
            return False
        return sum(worker["status"] == "ONLINE" for worker in found) == 2

    wait_for(online, 300, "two workers that are online")
    return team


@pytest.fixture(scope="session")
def awaiting(ready):
    """What the service says of itself before there is a champion."""
    url = f"http://127.0.0.1:{ready.addresses['SERVE_PORT']}"

    def told():
        try:
            return bool(ready.ready().json()["problem"])
        except httpx.TransportError:
            return False

    wait_for(told, 120, "a service that says why it is not ready")
    return {path: httpx.get(f"{url}/{path}", timeout=20) for path in ("live", "ready")}


@pytest.fixture(scope="session")
def trained(ready, awaiting):
    """The main job, as somebody on the server asks for it."""
    pairs = [part for name, value in SMALL.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    return ready.inside("worker", "pneumo", "train", "--json", *pairs)


def wait_for(what, seconds, words):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(2)
    pytest.fail(f"not within {seconds} s: {words}")
