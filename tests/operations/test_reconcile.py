import os
import subprocess
import sys
import time

import pytest

from pneumo.errors import TrackingError
from pneumo.operations import reconcile
from pneumo.operations.prefect_api import PrefectApi
from pneumo.operations.reconcile import ORIGIN

OLD = 10_000  # seconds


def claim_of(folder, name, text, age=0.0):
    file = folder / "runs" / name / "process.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def process(**changes):
    mine = {"pid": os.getpid(), "created": reconcile.psutil.Process().create_time(), "host": os.uname().nodename}
    return reconcile.Process(**mine | changes).model_dump_json()


def test_a_run_whose_process_died_is_found(tmp_path, die_running):
    die_running("run")
    assert reconcile.dead(tmp_path) == ["run"]


def test_a_run_that_works_or_has_ended_is_left_alone(tmp_path, die_running):
    reconcile.claim(tmp_path, "mine")
    assert reconcile.dead(tmp_path) == []
    die_running("run")
    reconcile.release(tmp_path, "run")
    assert reconcile.dead(tmp_path) == []


def test_a_reused_pid_counts_as_dead(tmp_path):
    claim_of(tmp_path, "old", process(created=1.0))
    assert reconcile.dead(tmp_path) == ["old"]


def test_a_clock_that_was_set_kills_nobody(tmp_path):
    created = reconcile.psutil.Process().create_time()
    claim_of(tmp_path, "running", process(created=created + 5))
    assert reconcile.dead(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", '{"pid": 1'])
def test_a_damaged_note_is_believed_for_a_while(tmp_path, text):
    claim_of(tmp_path, "new", text)
    assert reconcile.dead(tmp_path) == []
    claim_of(tmp_path, "old", text, age=OLD)
    assert reconcile.dead(tmp_path) == ["old"]


def test_another_machines_run_is_dead_when_it_is_silent(tmp_path):
    claim_of(tmp_path, "far", process(pid=1, host="elsewhere"))
    assert reconcile.dead(tmp_path) == []
    claim_of(tmp_path, "gone", process(pid=1, host="elsewhere"), age=OLD)
    assert reconcile.dead(tmp_path) == ["gone"]


def test_a_claim_shows_signs_of_life_until_it_is_released(tmp_path, monkeypatch):
    monkeypatch.setattr(reconcile, "BEAT", 0.01)
    file = tmp_path / "runs" / "mine" / "process.json"
    with reconcile.claimed(tmp_path, "mine"):
        os.utime(file, (1, 1))
        while file.stat().st_mtime < 2:
            time.sleep(0.01)
    assert not file.exists()


def test_the_note_stays_when_mlflow_could_not_be_told(tmp_path):
    with pytest.raises(TrackingError), reconcile.claimed(tmp_path, "mine"):
        raise TrackingError("gone")
    assert (tmp_path / "runs" / "mine" / "process.json").is_file()


@pytest.mark.services
def test_a_dead_run_is_closed_on_both_servers_with_the_reason(settings, prefect, tracker, die_running):
    flow_run = prefect.run(prefect.deployment("dead"), "PENDING", "RUNNING")
    task = prefect.task(flow_run, "RUNNING")
    parent = tracker.start_run("parent", tags={ORIGIN: flow_run})
    child = tracker.start_run("child", parent=parent, tags={ORIGIN: flow_run})
    other = tracker.start_run("of another flow", tags={ORIGIN: "other"})
    die_running(flow_run)
    (closed,) = [item for item in reconcile.reconcile(settings) if item.flow_run_id == flow_run]
    assert set(closed.mlflow_runs) == {parent, child}
    assert prefect.state(flow_run) == ("CRASHED", f"Crashed: {reconcile.REASON}")
    assert [item["state_type"] for item in prefect.api.tasks(flow_run) if item["id"] == task] == ["CRASHED"]
    assert {tracker.client.get_run(run).info.status for run in (parent, child)} == {"KILLED"}
    assert tracker.tags(parent)["reason"] == reconcile.REASON
    assert tracker.client.get_run(other).info.status == "RUNNING"
    assert reconcile.reconcile(settings) == []
    tracker.finish(other)


@pytest.mark.services
def test_a_half_logged_model_of_a_dead_run_is_closed(settings, prefect, tracker, die_running):
    flow_run = prefect.run(prefect.deployment("dead"), "RUNNING")
    run = tracker.start_run("parent", tags={ORIGIN: flow_run})
    model = tracker.client.create_logged_model(tracker.experiment_id, "half", run)
    die_running(flow_run)
    reconcile.reconcile(settings)
    assert tracker.client.get_logged_model(model.model_id).status == "FAILED"


@pytest.mark.services
def test_a_run_that_died_before_its_first_line_is_closed(settings, prefect):
    """Nobody claimed it; a run whose process is about to start, or that has not been taken, stays."""
    deployment = prefect.deployment("taken")
    taken, waiting = prefect.run(deployment, "PENDING"), prefect.run(deployment)
    reconcile.reconcile(settings)  # no worker of this state folder runs: nobody can be about to start it
    assert prefect.state(taken)[0] == "CRASHED"
    assert prefect.state(waiting)[0] == "SCHEDULED"


@pytest.mark.services
def test_a_run_that_a_process_works_for_is_not_lost(settings, prefect):
    flow_run = prefect.run(prefect.deployment("starting"), "PENDING")
    environment = {**os.environ, "PREFECT__FLOW_RUN_ID": flow_run}
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], env=environment, stdin=subprocess.PIPE)
    try:
        assert flow_run not in reconcile.lost(settings, PrefectApi(settings.prefect_api))
    finally:
        sleeper.communicate(b"\n")
    assert flow_run in reconcile.lost(settings, PrefectApi(settings.prefect_api))
    prefect.api.crash(flow_run, "end of the test")


@pytest.mark.services
def test_an_mlflow_run_whose_flow_run_has_ended_elsewhere_is_closed(settings, prefect, tracker, monkeypatch):
    flow_run = prefect.run(prefect.deployment("job"), "RUNNING", "CRASHED")
    run = tracker.start_run("parent", tags={ORIGIN: flow_run})
    stranger = tracker.start_run("of another server", tags={ORIGIN: "0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e"})
    reconcile.reconcile(settings)
    assert tracker.client.get_run(run).info.status == "RUNNING", "it may be telling MLflow this moment"
    monkeypatch.setattr(reconcile, "START", 0)
    reconcile.reconcile(settings)
    assert tracker.client.get_run(run).info.status == "KILLED"
    assert tracker.client.get_run(stranger).info.status == "RUNNING"
