"""The team server in containers, by podman or Docker, as infra/README.md starts it; skipped with the reason otherwise.

ENGINE is the engine with its options (podman, else docker, where that is empty); BUILD_OPTIONS are those of a build,
such as the certificates of a package index. infra/dev/bases.sh makes base images where no registry is reached.
"""

import json

import httpx
import pytest

from tests.containers import disturbed, started
from tests.containers.engine import build_images, find_engine
from tests.containers.team import SMALL, wait_for


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
    with started.team(engine, images, tmp_path_factory.mktemp("containers")) as team:
        yield team


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
