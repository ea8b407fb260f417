"""The documented commands: a backup while the team server works, restored into an empty Postgres and empty volumes."""

import shutil

import pytest

from bench._site import weights_of
from tests.containers.disturbed import MODEL, RECIPE, Person, reset, trains
from tests.containers.engine import BACKUP, build_images
from tests.containers.team import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]
PLACE = ("/backups/monday", "--service", "/service")
STARTED = ("prefect", "mlflow", "worker", "serve")


def pneumo(team, *words):
    """A command of the container for backups, as infra/README.md has it."""
    done = team.compose("--profile", "backup", "run", "--rm", "-T", "backup", "pneumo", *words, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def empty(team, volume):
    for item in team.disks[volume].iterdir():
        shutil.rmtree(item) if item.is_dir() else item.unlink()


def each(team, services, *words):
    for service in services:
        for item in team.containers(service):
            done = team.engine.call(*words, item["Id"])
            assert done.returncode == 0, done.stderr


def answered(team):
    """What the service keeps, by digest."""
    listed = "find /data/answers /data/feedback /data/shadow -type f -exec sha256sum {} + | sort"
    return team.inside("serve", "sh", "-c", listed).stdout


def answer_one(team):
    """Have the service answer an image, so that there is something to keep."""
    read = "cat $(find /data/cache/phantom -name '*.jpeg' | head -n 1) >/data/one.jpeg"
    assert team.inside("worker", "sh", "-c", read).returncode == 0
    image = (team.disks["worker"] / "one.jpeg").read_bytes()
    wait_for(lambda: team.score(image).is_success, 300, "a service that scores")
    wait_for(lambda: answered(team), 60, "an answer that is kept")


@pytest.fixture
def disks(ready):
    if not ready.disks:
        pytest.skip("volumes can be emptied only on file systems of our own, which cannot be mounted here")
    build_images(ready.engine, BACKUP)


def known(team, site):
    """Champion with its weights, runs that have ended well, and what the service keeps."""
    ended = team.prefect("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    tracker = site.tracker()
    champion = tracker.registry.alias(MODEL, "champion"), weights_of(tracker, f"models:/{MODEL}@champion")
    return champion, {run["id"] for run in ended}, answered(team)


def test_a_backup_brings_everything_back_into_an_empty_postgres_and_empty_volumes(disks, ready, site, tmp_path):
    reset(ready, site)
    person = Person(ready, tmp_path, RECIPE)
    trains(ready, person)
    answer_one(ready)
    before = known(ready, site)
    assert "artifacts that stay in s3://" in pneumo(ready, "backup", *PLACE)
    assert ready.state(person.run)["type"] == "RUNNING", "the backup is of a server at work"

    ready.inside("serve", "sh", "-c", "rm -rf /data/answers /data/feedback /data/shadow")
    each(ready, (*reversed(STARTED), "postgres"), "stop", "--time", "60")
    empty(ready, "postgres")
    empty(ready, "worker")
    each(ready, ("postgres",), "start")
    ask = ("pg_isready", "--host=127.0.0.1", "--dbname=mlflow")  # no port while it is made
    wait_for(lambda: ready.inside("postgres", *ask).returncode == 0, 120, "a new Postgres")
    pneumo(ready, "restore", *PLACE)
    each(ready, STARTED, "start")

    wait_for(ready.well, 300, "a doctor that finds nothing")
    wait_for(lambda: ready.ready().is_success, 300, "a service that scores")
    assert ready.end_of(person.run, seconds=120) == ["CRASHED"], "it was under way at the backup"
    assert known(ready, site) == before
    after = ready.ask_for_run(seed=8)
    assert ready.end_of(after) == ["COMPLETED"]
    assert ready.open_runs() == []
