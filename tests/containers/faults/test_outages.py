"""What happens to a run, and to whoever waits for it, when a worker, the database or the network goes away."""

import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.containers.disturbed import disturb, workers
from tests.containers.team import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]
OUTAGE = 180  # seconds


@contextmanager
def cut_off(container, *rule):
    """Packets that a rule takes are dropped on their way out of a container, without a word."""
    inside = ("nsenter", "--target", str(container["State"]["Pid"]), "--net", "iptables")
    done = subprocess.run([*inside, "--append", *rule, "--jump", "DROP"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the network of a container cannot be changed here: {done.stderr}")
    yield
    subprocess.run([*inside, "--delete", *rule, "--jump", "DROP"], check=True)


def from_the_worker(team, service):
    """The worker that trains cannot reach a service for a while."""

    def harm(worker, _):
        (other,) = team.containers(service)
        with cut_off(worker, "OUTPUT", "--destination", _addresses(other)):
            time.sleep(OUTAGE)

    return harm


def from_all(team, service):
    """Nobody can reach a service for a while."""

    def harm(*_):
        (cut,) = team.containers(service)
        with cut_off(cut, "OUTPUT", "!", "--destination", "127.0.0.0/8"):
            time.sleep(OUTAGE)

    return harm


def _addresses(container):
    return ",".join(network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values())


def database_and_network(team):
    """The database is restarted, then the worker is without any network for a minute."""

    def harm(worker, _):
        (postgres,) = team.containers("postgres")
        assert team.engine.call("restart", postgres["Id"]).returncode == 0
        with cut_off(worker, "OUTPUT", "!", "--destination", "127.0.0.0/8"):
            time.sleep(60)

    return harm


def database_again_and_again(team):
    """The database is restarted every twenty seconds, while the run trains, uploads and ends."""

    def harm(_, person):
        (postgres,) = team.containers("postgres")
        while person.process.poll() is None:
            assert team.engine.call("restart", postgres["Id"]).returncode == 0
            time.sleep(20)

    return harm


SURVIVED = {
    "a worker is cut off from Prefect for three minutes": lambda team: from_the_worker(team, "prefect"),
    "a worker is cut off from MLflow for three minutes": lambda team: from_the_worker(team, "mlflow"),
    "S3 is cut off from all for three minutes": lambda team: from_all(team, "storage"),
    "Postgres is restarted, and the worker without any network for a minute": database_and_network,
    "Postgres is restarted every twenty seconds to the end": database_again_and_again,
}


@pytest.mark.parametrize("name", SURVIVED)
def test_an_outage_costs_a_run_nothing_but_time(name, ready, site, undisturbed, tmp_path, record_property):
    left = disturb(ready, site, undisturbed, tmp_path, SURVIVED[name](ready))
    record_property("row", left.row(name))
    assert (left.state, left.code, left.tracked) == ("Completed", 0, {"FINISHED"})
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())


def test_a_worker_that_is_killed_closes_its_run_when_it_is_back_and_goes_on_from_the_checkpoint(
    ready, site, undisturbed, tmp_path, record_property
):
    """Only it can tell that the process is dead; the other one, which would take the next run, is stopped."""

    def harm(worker, _):
        (other,) = [item for name, item in workers(ready).items() if item["Id"] != worker["Id"]]
        assert ready.engine.call("stop", other["Id"]).returncode == 0
        assert ready.engine.call("kill", worker["Id"]).returncode == 0
        assert ready.engine.call("start", worker["Id"]).returncode == 0

    left = disturb(ready, site, undisturbed, tmp_path, harm, lost=True)
    record_property("row", left.row("the worker is killed and started again"))
    for item in ready.containers("worker"):
        ready.engine.call("start", item["Id"])
    wait_for(lambda: len(workers(ready)) == 2, 60, "two workers that run")
    assert (left.state, left.tracked, left.again) == ("Crashed", {"KILLED"}, "Completed")
    assert "its process died" in left.message and "its process died" in left.told
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())


def test_a_worker_that_is_stopped_closes_its_run_and_the_other_one_goes_on_from_the_checkpoint(
    ready, site, undisturbed, tmp_path, record_property
):
    def harm(worker, _):
        assert ready.engine.call("stop", "--time", "60", worker["Id"]).returncode == 0  # stop_grace_period

    left = disturb(ready, site, undisturbed, tmp_path, harm)
    record_property("row", left.row("the worker is stopped"))
    for item in ready.containers("worker"):
        ready.engine.call("start", item["Id"])
    wait_for(lambda: len(workers(ready)) == 2, 60, "two workers that run")
    assert (left.state, left.tracked, left.again) == ("Crashed", {"KILLED"}, "Completed"), left
    assert "its process died" in left.message and "its process died" in left.told
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())
