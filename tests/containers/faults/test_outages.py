"""Two workers at once, and what happens to a run when a worker, the database or the network goes away."""

import json
import time

import pytest

from tests.containers.conftest import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]
LONG = {"epochs": 60}  # of half a second each: time to be killed in


def workers(team):
    """The containers of the running workers, by host name."""
    return {item["Config"]["Hostname"]: item for item in team.containers("worker") if item["State"]["Running"]}


def training(team, **parameters):
    """A run that trains and has left a checkpoint, and the name of the host that claimed it."""
    before = _checkpoints(team)
    run = team.ask_for_run(**parameters)

    def trains():
        assert team.state(run)["type"] in ("SCHEDULED", "PENDING", "RUNNING"), team.state(run)
        return _checkpoints(team) - before

    wait_for(trains, 180, f"a checkpoint of {run}")
    claim = team.inside("worker", "cat", f"/data/runs/{run}/process.json")
    return run, json.loads(claim.stdout)["host"]


def _checkpoints(team):
    return set(team.inside("worker", "find", "/data/checkpoints", "-name", "checkpoint.npz").stdout.split())


def test_four_runs_on_two_workers_leave_one_champion_and_nobody_closes_those_of_another(trained, ready):
    runs = [ready.ask_for_run(seed=seed) for seed in range(1, 5)]
    assert ready.end_of(*runs) == ["COMPLETED"] * 4
    rows = [ready.prefect(f"flow_runs/{run}") for run in runs]
    assert len({row["labels"]["prefect.worker.name"] for row in rows}) == 2
    assert max(row["start_time"] for row in rows) < min(row["end_time"] for row in rows)
    assert {status for run in runs for status in ready.tracked(run)} == {"FINISHED"}
    (model,) = ready.mlflow("registered-models/search")["registered_models"]
    assert [alias["alias"] for alias in model["aliases"]].count("champion") == 1


def test_a_run_outlives_a_restart_of_the_database_and_a_minute_without_any_network(trained, ready):
    run, host = training(ready, seed=11, **LONG)
    worker = workers(ready)[host]
    (postgres,) = ready.containers("postgres")
    assert ready.engine.call("restart", postgres["Id"]).returncode == 0
    for network in worker["NetworkSettings"]["Networks"]:
        assert ready.engine.call("network", "disconnect", network, worker["Id"]).returncode == 0
    time.sleep(60)
    for network in worker["NetworkSettings"]["Networks"]:
        assert ready.engine.call("network", "connect", network, worker["Id"]).returncode == 0
    assert ready.end_of(run) == ["COMPLETED"]
    assert set(ready.tracked(run)) == {"FINISHED"}


def test_a_worker_that_is_killed_closes_its_run_when_it_is_back_and_goes_on_from_the_checkpoint(trained, ready):
    run, host = training(ready, seed=12, **LONG)
    for name, worker in workers(ready).items():
        assert ready.engine.call("kill" if name == host else "stop", worker["Id"]).returncode == 0
    (killed,) = [item for item in ready.containers("worker") if item["Config"]["Hostname"] == host]
    assert ready.state(run)["type"] == "RUNNING"
    assert ready.engine.call("start", killed["Id"]).returncode == 0
    again = ready.ask_for_run(seed=12, **LONG)
    assert ready.end_of(run, again) == ["CRASHED", "COMPLETED"]
    assert "its process died" in ready.state(run)["message"]
    assert set(ready.tracked(run)) == {"KILLED"} and set(ready.tracked(again)) == {"FINISHED"}
