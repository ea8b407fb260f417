"""A run that somebody waits for, a fault in the middle of its training, and what is left afterwards.

As bench/kills.py does on one machine; each fault is a row of the table in docs/operations.md.
"""

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from bench._site import Poller, weights_of
from pneumo.settings.promotion import Registry
from pneumo.tracking import Tracker
from tests.containers.team import HARDENED, SMALL, wait_for

MODEL = Registry().phantom_model
RECIPE = SMALL | {"data": "phantom:160", "epochs": 40, "seed": 11}  # of half a second each: time to be disturbed in


class Person:
    """Somebody who asks by `pneumo train` in a container of their own, which reaches the two servers alone."""

    def __init__(self, team, folder, recipe):
        login = {
            "MLFLOW_TRACKING_USERNAME": "worker",
            "MLFLOW_TRACKING_PASSWORD": team.secrets["MLFLOW_WORKER_PASSWORD"],
        }
        knows = {"PREFECT_API_URL": "http://prefect:4200/api", "PREFECT_API_AUTH_STRING": team.secrets["PREFECT_LOGIN"]}
        knows |= {"PNEUMO_TRACKING__URI": "http://mlflow:5000", **login}
        pairs = [part for name, value in recipe.items() for part in ("--param", f"{name}={json.dumps(value)}")]
        start = ("run", "--rm", f"--network={team.name}_services", *HARDENED, *(f"--env={name}" for name in knows))
        command = [*team.engine.command, *start, team.images["worker"], "pneumo", "train", "--json", *pairs]
        self.folder, self.since = folder, time.monotonic()
        with (folder / "result").open("wb") as result, (folder / "said").open("wb") as said:
            self.process = subprocess.Popen(command, env=team.engine.environment | knows, stdout=result, stderr=said)
        wait_for(lambda: self.run or self.process.poll() is not None, 240, "a run that was asked for")
        assert self.run, self.said

    @property
    def said(self):
        return (self.folder / "said").read_text()

    @property
    def run(self):
        """The flow run's id, as its page's address has it."""
        found = re.search(r"flow-run/([0-9a-f-]{36})", self.said)
        return found and found[1]

    @property
    def summary(self):
        return json.loads((self.folder / "result").read_text())

    def end(self, seconds):
        """Exit code, and the last words."""
        code = self.process.wait(seconds)
        return code, self.said.strip().splitlines()[-1].strip()


@dataclass(frozen=True)
class Left:
    """What a disturbed run has come to; `told` is what `pneumo train` ended with."""

    state: str
    message: str
    code: int
    told: str
    tracked: frozenset[str]
    again: str
    same_weights: bool
    open: int
    polls: int
    failures: tuple[str, ...]
    seconds: float

    def row(self, name):
        weights = "the same" if self.same_weights else "OTHER"
        end = f"{self.state}{', asked again: ' + self.again if self.again else ''}"
        polls = f"{self.polls}, {len(self.failures)}"
        return (
            f"| {name} | {end} | {self.code}: {self.told} | {weights} | {self.seconds:.0f} s | {self.open} | {polls} |"
        )


@dataclass(frozen=True)
class Site:
    """The team server as the poller of bench sees it: MLflow's address and registry, as its administrator."""

    mlflow: str

    def tracker(self):
        return Tracker(self.mlflow, "pneumonia")


@contextmanager
def administrator(team):
    """This process with the logins of the team server's administrator."""
    login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": team.secrets["MLFLOW_ADMIN_PASSWORD"]}
    with mock.patch.dict(os.environ, login):
        yield Site(f"http://127.0.0.1:{team.addresses['MLFLOW_PORT']}")


def reset(team, site):
    """The first champion stands, and of other runs nothing is known but the drawn images: no caches, no version."""
    registry = site.tracker().registry
    registry.set_alias(MODEL, Registry().champion, "1")
    for alias in (Registry().challenger, Registry().previous):
        registry.delete_alias(MODEL, alias)
    for version in registry.versions(MODEL):
        if version.version != "1":
            registry.delete_version(MODEL, version.version)
    made = "find /data/cache -mindepth 1 -maxdepth 1 ! -name phantom -exec rm -r {} +"
    cleared = team.inside("worker", "sh", "-c", f"{made}; rm -rf /data/checkpoints /data/logs")
    assert cleared.returncode == 0, cleared.stderr


def weights(site):
    """Digest of the champion's weights, which must be of a version after the first."""
    version = site.tracker().registry.alias(MODEL, Registry().champion)
    assert version not in (None, "1"), "the run is to win"
    return weights_of(site.tracker(), f"models:/{MODEL}/{version}")


def trains(team, person):
    """The worker's container that trains a run which has left a checkpoint."""

    def checkpoint():
        assert team.state(person.run)["type"] in ("SCHEDULED", "PENDING", "RUNNING"), team.state(person.run)
        return team.inside("worker", "find", "/data/checkpoints", "-name", "checkpoint.npz").stdout.split()

    wait_for(checkpoint, 600, f"a checkpoint of {person.run}")
    claim = team.inside("worker", "cat", f"/data/runs/{person.run}/process.json")
    return workers(team)[json.loads(claim.stdout)["host"]]


def workers(team):
    """The containers of the running workers, by host name."""
    return {item["Config"]["Hostname"]: item for item in team.containers("worker") if item["State"]["Running"]}


def disturb(team, site, truth, folder, harm, lost=False):
    """Do harm to a run that trains, wait for its end, ask again where it did not complete, and look at what is left.

    Nobody closes a `lost` run before the next one starts, or Prefect has missed its heartbeats for seven minutes.
    """
    reset(team, site)
    with Poller(site, MODEL) as poller:
        person = Person(team, folder, RECIPE)
        worker = trains(team, person)
        harmed = time.monotonic()
        harm(worker, person)
        if not lost:
            team.end_of(person.run)
        completed = not lost and team.state(person.run)["type"] == "COMPLETED"
        again = None if completed else team.ask_for_run(**RECIPE)
        team.end_of(person.run, *filter(None, [again]))
        code, told = person.end(300)
        seconds = time.monotonic() - harmed
    state = team.state(person.run)
    return Left(
        state=state["name"],
        message=state["message"] or "",
        code=code,
        told=told if code else "its summary",
        tracked=frozenset(team.tracked(person.run)),
        again=team.state(again)["name"] if again else "",
        same_weights=weights(site) == truth,
        open=len(team.open_runs()),
        polls=poller.polls,
        failures=tuple(poller.failures),
        seconds=seconds,
    )
