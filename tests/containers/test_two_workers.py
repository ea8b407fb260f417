"""Two workers with host names of their own and one state folder, both at work."""

import pytest

from tests.containers.disturbed import reset, workers

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]


def test_four_runs_on_two_workers_leave_one_champion_and_nobody_closes_those_of_another(site, ready):
    reset(ready, site)
    assert len(workers(ready)) == 2
    runs = [ready.ask_for_run(seed=seed) for seed in range(1, 5)]
    assert ready.end_of(*runs) == ["COMPLETED"] * 4
    rows = [ready.prefect(f"flow_runs/{run}") for run in runs]
    assert len({row["labels"]["prefect.worker.name"] for row in rows}) == 2
    assert max(row["start_time"] for row in rows) < min(row["end_time"] for row in rows)
    assert {status for run in runs for status in ready.tracked(run)} == {"FINISHED"}
    assert ready.open_runs() == []
    (model,) = ready.mlflow("registered-models/search")["registered_models"]
    assert [alias["alias"] for alias in model["aliases"]].count("champion") == 1
