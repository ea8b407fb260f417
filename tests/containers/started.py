"""How the team server of compose.yaml is started for a trial: secrets, free ports, disks of its own, and its end."""

import random
import re
import secrets
import threading
from contextlib import contextmanager

import pytest
import yaml

from tests.conftest import free_port
from tests.containers.disks import small_disks
from tests.containers.engine import PROJECT
from tests.containers.team import COMPOSE, Team, wait_for
from tests.pipeline.conftest import OPEN

NEWEST = {"TIE": "promote", "MAXIMUM_COMPARISONS": "1000"}  # so that a run's weights are those of the champion


@contextmanager
def team(engine, images, folder):
    """The services of compose.yaml from their first start to their removal."""
    if not engine.compose:
        pytest.skip("the engine has no compose: podman-compose, or Docker's plugin")
    stores = _stores(engine)
    given, addresses = _secrets(), _addresses()
    addresses["TLS_FOLDER"] = str(folder / "tls")
    lines = "".join(f"{name}={value}\n" for name, value in (given | addresses).items())
    (folder / "team.env").write_text(lines)
    name = f"pneumo-test-{secrets.token_hex(3)}"
    with small_disks(folder, _owners(engine, stores["postgres"])) as disks:
        (folder / "trial.yaml").write_text(yaml.safe_dump({"services": _trial(), "volumes": _volumes(disks)}))
        with _started(Team(engine, images, name, folder / "team.env", given, addresses, disks)) as running:
            yield running


def _stores(engine):
    """Images that are not pneumo's own, by service."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    found = {name: item["image"] for name, item in services.items() if "profiles" not in item}
    return {
        name: engine.image(re.search(r":-(.*)}", image)[1]) for name, image in found.items() if "pneumo" not in image
    }


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
    worker = "python -m pneumo.operations.container_worker --pool pneumo --with-healthcheck --limit 2"
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


def _owners(engine, postgres):
    """Volumes that shall be on small disks, and who owns them: the users of the images, by number."""
    done = engine.call("run", "--rm", "--entrypoint=id", postgres, "-u", "postgres")
    return {"worker": 10001, "storage": 1000, "postgres": int(done.stdout)}


def _volumes(disks):
    """Volumes of compose.yaml that are folders on disks of their own."""
    return {
        name: {"driver": "local", "driver_opts": {"type": "none", "o": "bind", "device": str(folder)}}
        for name, folder in disks.items()
    }


def _check_health(team, started):
    """Podman leaves the times of health checks to systemd, which may not be there."""
    while team.engine.is_podman and not started.wait(3):
        for item in team.containers():
            team.engine.call("healthcheck", "run", item["Id"])
