import json
import os
import subprocess
import sys
import time

import pytest

from pneumo.operations import automations
from pneumo.operations.embedded import PROJECT
from pneumo.operations.flow_runs import claims, reconcile
from pneumo.operations.prefect_api import PrefectApi
from pneumo.settings.servers import Pool
from pneumo.tracking.system import FLOW_RUN

ELSEWHERE = (("PENDING", "RUNNING"), ("PENDING",), ("PENDING",))  # training, starting, taken by who knows whom


@pytest.mark.services
def test_a_dead_run_is_closed_on_both_servers_with_the_reason(settings, prefect, tracker, die_running):
    flow_run = prefect.run(prefect.deployment("dead"), "PENDING", "RUNNING")
    task = prefect.task(flow_run, "RUNNING")
    parent = tracker.runs.start("parent", tags={FLOW_RUN: flow_run})
    child = tracker.runs.start("child", parent=parent, tags={FLOW_RUN: flow_run})
    other = tracker.runs.start("of another flow", tags={FLOW_RUN: "other"})
    die_running(flow_run)
    (closed,) = [item for item in reconcile.reconcile(settings) if item.flow_run_id == flow_run]
    assert set(closed.mlflow_runs) == {parent, child}
    assert prefect.state(flow_run) == ("CRASHED", f"Crashed: {reconcile.REASON}")
    assert [item["state_type"] for item in prefect.api.tasks(flow_run) if item["id"] == task] == ["CRASHED"]
    assert {tracker.client.get_run(run).info.status for run in (parent, child)} == {"KILLED"}
    assert tracker.runs.tags(parent)["reason"] == reconcile.REASON
    assert tracker.client.get_run(other).info.status == "RUNNING"
    assert reconcile.reconcile(settings) == []
    tracker.runs.finish(other)


@pytest.mark.services
@pytest.mark.parametrize("states", [("RUNNING", "CRASHED", "SCHEDULED"), ("RUNNING", "CRASHED", "PENDING", "RUNNING")])
def test_a_run_that_was_started_again_belongs_to_its_new_process(settings, prefect, tracker, die_running, states):
    """Its first machine comes back from a power cut and finds its own note."""
    flow_run = prefect.run(prefect.deployment("retried"), *states)
    again = tracker.runs.start("parent", tags={FLOW_RUN: flow_run})
    die_running(flow_run)
    assert reconcile.reconcile(settings) == []
    assert prefect.state(flow_run)[0] == states[-1]
    assert tracker.client.get_run(again).info.status == "RUNNING"
    assert claims.dead(settings.home) == [], "the note of the dead process is gone"
    prefect.api.crash(flow_run, "end of the test")
    tracker.runs.finish(again)


@pytest.mark.services
def test_a_run_that_was_started_again_while_the_servers_were_asked_is_left_alone(settings, prefect, monkeypatch):
    flow_run = prefect.run(prefect.deployment("retried"), "RUNNING")
    monkeypatch.setattr(reconcile, "dead", lambda home: [flow_run])  # as it was found
    claims.claim(settings.home, flow_run)
    assert reconcile.reconcile(settings) == []
    assert prefect.state(flow_run)[0] == "RUNNING"
    assert claims.living(settings.home) == {flow_run}
    claims.release(settings.home, flow_run)
    prefect.api.crash(flow_run, "end of the test")


@pytest.mark.services
def test_a_run_in_mlflow_that_somebody_else_made_is_left_open(settings, prefect, tracker, die_running):
    flow_run = prefect.run(prefect.deployment("dead"), "RUNNING")
    theirs = tracker.client.create_run(tracker.runs.experiment_id, tags={FLOW_RUN: flow_run}).info.run_id
    die_running(flow_run)
    assert [item.mlflow_runs for item in reconcile.reconcile(settings)] == [()]
    assert tracker.client.get_run(theirs).info.status == "RUNNING"


@pytest.mark.services
def test_a_half_logged_model_of_a_dead_run_is_closed(settings, prefect, tracker, die_running):
    flow_run = prefect.run(prefect.deployment("dead"), "RUNNING")
    run = tracker.runs.start("parent", tags={FLOW_RUN: flow_run})
    model = tracker.client.create_logged_model(tracker.runs.experiment_id, "half", run)
    die_running(flow_run)
    reconcile.reconcile(settings)
    assert tracker.client.get_logged_model(model.model_id).status == "FAILED"


@pytest.mark.services
@pytest.mark.parametrize("of", ["pneumonia", "a colleague's flow"])
def test_a_run_that_this_worker_took_and_that_died_before_its_first_line_is_closed(settings, prefect, of):
    """Nobody claimed it; a run whose process is about to start, or that has not been taken, stays."""
    deployment = prefect.deployment("taken", of=of)
    taken, waiting = prefect.run(deployment, "PENDING"), prefect.run(deployment)
    prefect.taken(taken, reconcile.worker(settings.home))
    reconcile.reconcile(settings)  # no worker of this state folder runs: nobody can be about to start it
    assert prefect.state(taken)[0] == "CRASHED"
    assert prefect.state(waiting)[0] == "SCHEDULED"


@pytest.mark.services
def test_a_run_that_a_process_works_for_is_not_lost(settings, prefect):
    flow_run = prefect.run(prefect.deployment("starting"), "PENDING")
    prefect.taken(flow_run, reconcile.worker(settings.home))
    environment = {**os.environ, "PREFECT__FLOW_RUN_ID": flow_run}
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], env=environment, stdin=subprocess.PIPE)
    try:
        assert flow_run not in reconcile.lost(settings.home, PrefectApi(settings.prefect_api))
    finally:
        sleeper.communicate(b"\n")
    assert flow_run in reconcile.lost(settings.home, PrefectApi(settings.prefect_api))
    prefect.api.crash(flow_run, "end of the test")


@pytest.mark.services
def test_runs_of_another_machines_worker_are_left_alone(settings, prefect, tracker, monkeypatch):
    """This machine runs the servers, sees no process and no note of theirs, and two minutes are over."""
    deployment = prefect.deployment("elsewhere")
    training, starting, unknown = (prefect.run(deployment, *states) for states in ELSEWHERE)
    for flow_run in (training, starting):
        prefect.taken(flow_run, "pneumo-another-host-1a2b3c")
    mlflow_run = tracker.runs.start("parent", tags={FLOW_RUN: training})
    monkeypatch.setattr(reconcile.time, "time", lambda now=time.time: now() + 1000)
    assert reconcile.reconcile(settings) == []
    assert [prefect.state(run)[0] for run in (training, starting, unknown)] == ["RUNNING", "PENDING", "PENDING"]
    assert tracker.client.get_run(mlflow_run).info.status == "RUNNING"
    for flow_run in (training, starting, unknown):
        prefect.api.crash(flow_run, "end of the test")


@pytest.mark.services
def test_what_another_machine_left_in_mlflow_is_closed_once_prefect_knows_of_its_death(
    settings, prefect, tracker, monkeypatch
):
    training, untold = (prefect.run(prefect.deployment("machine"), "RUNNING") for _ in range(2))
    notes = [settings.home / "runs" / flow_run / "process.json" for flow_run in (training, untold)]
    for flow_run, note in zip((training, untold), notes, strict=True):
        claims.claim(settings.home, flow_run)
        note.write_text(note.read_text().replace(os.uname().nodename, "another-host"))
        os.utime(note, (1, 1))
    run = tracker.runs.start("parent", tags={FLOW_RUN: training})
    assert reconcile.reconcile(settings) == []
    for flow_run in (training, untold):
        prefect.api.crash(flow_run, "no heartbeat")
    monkeypatch.setattr(reconcile, "START", 0)
    reconcile.reconcile(settings)
    assert tracker.client.get_run(run).info.status == "KILLED"
    assert not [note for note in notes if note.exists()]


def crashed(prefect, runs):
    """Whether any of them is Crashed."""
    return "CRASHED" in {prefect.state(run)[0] for run in runs}


@pytest.mark.services
def test_prefect_crashes_runs_that_fell_silent_or_never_started_and_only_pneumos(prefect):
    """Windows of ten seconds instead of minutes; the one that goes on sending heartbeats goes on."""
    ours = prefect.deployment("watched")
    automations.ensure_automations(prefect.api, Pool(), silence=10, start=10)
    theirs = prefect.deployment("not watched")  # registered later, as if it were nobody's business
    silent, alive, others, ended = (prefect.run(place, "PENDING", "RUNNING") for place in (ours, ours, theirs, ours))
    stuck, others_stuck = [prefect.run(ours, "PENDING")], prefect.run(theirs, "PENDING")
    for run, place in ((silent, ours), (others, theirs), (ended, ours)):
        prefect.heartbeat(run, place)
    prefect.ask("POST", f"/flow_runs/{ended}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
    begun = told = time.monotonic()
    while not (crashed(prefect, [silent]) and crashed(prefect, stuck)) or time.monotonic() - begun < 20:
        prefect.heartbeat(alive, ours)
        assert time.monotonic() - begun < 240, f"Prefect did not crash what is dead: {silent}, {stuck}"
        if time.monotonic() - told > 30:  # Prefect's server drops an event that finds its SQLite locked four times
            prefect.heartbeat(silent, ours)
            stuck.append(prefect.run(ours, "PENDING"))
            told = time.monotonic()
        time.sleep(2)
    assert [prefect.state(run)[0] for run in (alive, ended)] == ["RUNNING", "COMPLETED"]
    assert [prefect.state(run)[0] for run in (others, others_stuck)] == ["RUNNING", "PENDING"]
    assert "no heartbeat for 10 s" in prefect.state(silent)[1]
    # A laptop that was asleep wakes up as dead; its run goes on and says itself how it ended.
    prefect.ask("POST", f"/flow_runs/{silent}/set_state", {"state": {"type": "COMPLETED"}})
    assert prefect.state(silent)[0] == "COMPLETED"
    for run in (alive, others, others_stuck, *stuck):
        prefect.api.crash(run, "end of the test")
    automations.ensure_automations(prefect.api, Pool())


def test_a_kubernetes_run_may_be_pending_as_long_as_its_pod_may_take_to_start():
    template = json.loads((PROJECT / "infra/kubernetes/base/job-template.json").read_text())
    allowed = template["job_configuration"]["pod_watch_timeout_seconds"]
    assert automations.START_SECONDS["kubernetes"] > allowed


@pytest.mark.services
def test_an_mlflow_run_whose_flow_run_has_ended_elsewhere_is_closed(settings, prefect, tracker, monkeypatch):
    flow_run = prefect.run(prefect.deployment("job"), "RUNNING", "CRASHED")
    run = tracker.runs.start("parent", tags={FLOW_RUN: flow_run})
    stranger = tracker.runs.start("of another server", tags={FLOW_RUN: "0e0e0e0e-0e0e-4e0e-8e0e-0e0e0e0e0e0e"})
    reconcile.reconcile(settings)
    assert tracker.client.get_run(run).info.status == "RUNNING", "it may be telling MLflow this moment"
    monkeypatch.setattr(reconcile, "START", 0)
    reconcile.reconcile(settings)
    assert tracker.client.get_run(run).info.status == "KILLED"
    assert tracker.client.get_run(stranger).info.status == "RUNNING"
