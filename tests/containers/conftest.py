"""The team server in containers, by podman or Docker, as infra/README.md starts it; skipped with the reason otherwise.

ENGINE is the engine with its options (podman, else docker, where that is empty); BUILD_OPTIONS are those of a build,
such as the certificates of a package index. infra/dev/bases.sh makes base images where no registry is reached.
"""

import json
import random
import re
import secrets
import threading
from contextlib import contextmanager

import httpx
import pytest
import yaml

from tests.conftest import free_port
from tests.containers import disturbed
from tests.containers.engine import PROJECT, build_images, find_engine
from tests.containers.team import COMPOSE, SMALL, Team, wait_for
from tests.pipeline.conftest import OPEN

NEWEST = {"TIE": "promote", "MAXIMUM_COMPARISONS": "1000"}  # so that a run's weights are those of the champion


def pytest_terminal_summary(terminalreporter):
    """The rows of faults, as docs/operations.md has them."""
    done = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    for row in [value for report in done for name, value in report.user_properties if name == "row"]:
        terminalreporter.write_line(row)


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    return find_engine(tmp_path_factory)


@pytest.fixture(scope="session")
def images(engine):
    return build_images(engine)


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
    name = f"pneumo-test-{secrets.token_hex(3)}"
    with _started(Team(engine, images, name, folder / "team.env", given, addresses)) as team:
        yield team


@contextmanager
def _started(team):
    started = threading.Event()
    checks = threading.Thread(target=_check_health, args=(team, started))
    checks.start()
    try:
        # Podman before 4.6 cannot wait for health, and does not start what depends on a container that has ended: what
        # comes after `setup` is started by itself.
        for words in (("setup",), ("--no-deps", "--scale", "worker=2", "worker", "serve")):
            done = team.compose("up", "--detach", *words, timeout=600)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            wait_for(lambda: team.ended("setup"), 600, "the end of setup")
        started.set()
        yield team
    finally:
        started.set()
        checks.join()
        for item in team.containers():  # podman-compose leaves what restarts this moment, and the second worker
            team.engine.call("rm", "--force", "--volumes", item["Id"])
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
    """What is other than in compose.yaml: open gates, four trainings at once, and the newest model of drawn images."""
    worker = "prefect worker start --pool pneumo --with-healthcheck --limit 2"
    return {
        "setup": {"environment": {"PNEUMO_POOL__RUNS_AT_ONCE": "4"}},
        "worker": {
            "environment": {f"PNEUMO_PROMOTION__{name}": value for name, value in (OPEN | NEWEST).items()},
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

    wait_for(online, 600, "two workers that are online")
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

    wait_for(told, 300, "a service that says why it is not ready")
    return {path: httpx.get(f"{url}/{path}", timeout=20) for path in ("live", "ready")}


@pytest.fixture(scope="session")
def trained(ready, awaiting):
    """The main job, as somebody on the server asks for it."""
    pairs = [part for name, value in SMALL.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    return ready.inside("worker", "pneumo", "train", "--json", *pairs)


@pytest.fixture(scope="session")
def site(trained, ready):
    """The registry with the champion of the main job, as the administrator sees it."""
    with disturbed.administrator(ready) as site:
        yield site


@pytest.fixture(scope="session")
def undisturbed(ready, site, tmp_path_factory):
    """Digest of the weights to which the run comes that is going to be disturbed."""
    disturbed.reset(ready, site)
    person = disturbed.Person(ready, tmp_path_factory.mktemp("undisturbed"), disturbed.RECIPE)
    assert person.end(900)[0] == 0, person.said
    return disturbed.weights(site)
