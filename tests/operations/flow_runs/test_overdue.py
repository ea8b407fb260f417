import time
from datetime import UTC, datetime, timedelta

import pytest

from pneumo.operations import schedule
from pneumo.operations.flow_runs import overdue
from pneumo.settings import Settings
from pneumo.settings.unattended import Retrain


def at(minutes):
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


@pytest.mark.services
def test_missed_runs_collapse_into_the_newest(prefect):
    deployment = prefect.deployment("weekly")
    runs = [prefect.run(deployment, due=at(minutes)) for minutes in (-30, -20, -10)]
    later = prefect.run(deployment, due=at(30))
    assert len(overdue.drop_overdue(prefect.api, deployment)) == 2
    assert [prefect.state(run)[0] for run in (*runs, later)] == ["CANCELLED", "CANCELLED", "SCHEDULED", "SCHEDULED"]
    assert "one run stands for all" in prefect.state(runs[0])[1]


@pytest.mark.services
def test_a_run_that_has_begun_stands_for_the_overdue_ones_like_it(prefect):
    deployment = prefect.deployment("begun")
    now = prefect.run(deployment, "RUNNING")
    missed, special = prefect.run(deployment, due=at(-5)), prefect.run(deployment, due=at(-5), parameters={"a": 1})
    overdue.collapse(prefect.api, now)
    assert prefect.state(missed)[0] == "CANCELLED"
    assert prefect.state(special)[0] == "SCHEDULED"
    assert prefect.state(now)[0] == "RUNNING"


@pytest.mark.services
def test_a_run_that_had_to_wait_for_another_training_has_collided(prefect):
    deployment = prefect.deployment("busy")
    first = prefect.run(deployment, "RUNNING")
    waited = prefect.run(deployment)
    prefect.ask("POST", f"/flow_runs/{first}/set_state", {"state": {"type": "COMPLETED"}})
    after = prefect.run(deployment)
    assert "was training when this run was due" in overdue.collided(prefect.api, waited)
    assert overdue.collided(prefect.api, after) == ""


@pytest.mark.services
def test_the_server_makes_runs_of_a_deployment_with_a_schedule(prefect):
    """As it does for watch, retrain and maintain; with SQLAlchemy 2.1 Prefect's scheduler fails at every turn."""
    deployment = prefect.deployment("nightly", cron="0 2 * * *")
    mine = {"deployments": {"id": {"any_": [deployment]}}}
    deadline = time.monotonic() + 150
    while not (runs := prefect.ask("POST", "/flow_runs/filter", mine)) and time.monotonic() < deadline:
        time.sleep(1)
    assert {run["state_type"] for run in runs} == {"SCHEDULED"}
    assert all("T02:00:00" in run["expected_start_time"] for run in runs)


def test_an_empty_schedule_is_not_active():
    names = schedule.variables(Settings(retrain=Retrain(cron=None)))
    assert names["PNEUMO_SCHEDULE_RETRAIN_ACTIVE"] == "false"
    assert names["PNEUMO_SCHEDULE_WATCH_ACTIVE"] == "true"
    assert names["PNEUMO_SCHEDULE_WATCH"] == "7 * * * *"
