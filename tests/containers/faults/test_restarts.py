"""Every service restarted in turn, while nobody trains and while a run goes on."""

import pytest

from tests.containers.disturbed import Person, disturb, reset
from tests.containers.team import SMALL, wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]
STORES = ("postgres", "storage", "prefect", "mlflow")


def restart(team, *services):
    """Stop and start: podman refuses `restart` to what depends on a container that has ended."""
    for service in services:
        for item in team.containers(service):
            for words in (("stop", "--time", "60"), ("start",)):  # stop_grace_period of the worker
                done = team.engine.call(*words, item["Id"])
                assert done.returncode == 0, done.stderr


def test_while_nobody_trains_all_is_well_after_each_restart_and_the_next_run_goes_through(ready, site, tmp_path):
    reset(ready, site)
    for service in (*STORES, "worker", "serve"):
        restart(ready, service)
        wait_for(ready.well, 300, f"a doctor that finds nothing after a restart of {service}")
        wait_for(lambda: ready.ready().is_success, 300, f"a service that scores after a restart of {service}")
    person = Person(ready, tmp_path, SMALL)
    assert person.end(900)[0] == 0, person.said
    assert ready.open_runs() == []


def test_a_run_goes_on_while_every_service_but_its_worker_is_restarted_in_turn(
    ready, site, undisturbed, tmp_path, record_property
):
    left = disturb(ready, site, undisturbed, tmp_path, lambda *_: restart(ready, *STORES, "serve"))
    record_property("row", left.row("Postgres, S3, Prefect, MLflow and the service are restarted, one after the other"))
    assert (left.state, left.code, left.tracked) == ("Completed", 0, {"FINISHED"})
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())
