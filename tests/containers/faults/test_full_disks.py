"""A disk fills while a run trains: the run ends with its reason, and with space the next one goes on."""

import time

import pytest

from tests.containers.disks import filled
from tests.containers.disturbed import disturb
from tests.containers.team import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]
A_MINUTE = 60  # seconds


@pytest.fixture
def disks(ready):
    if not ready.disks:
        pytest.skip("a file system of our own cannot be mounted here")
    return ready.disks


def full_to_the_end(team, volume):
    """Nothing is left on a disk until whoever waits for the run has heard of its end; then all is well again."""

    def harm(_, person):
        with filled(team.disks[volume]):
            person.end(1500)
        wait_for(team.well, 300, "a doctor that finds nothing once there is space")

    return harm


def full_for_a_minute(team, volume):
    def harm(*_):
        with filled(team.disks[volume]):
            time.sleep(A_MINUTE)

    return harm


@pytest.mark.parametrize(
    ("volume", "reason", "row"),
    [
        ("worker", "No space left", "the workers' disk is full until the run has ended"),
        # It falls into the training; what comes to nothing is the upload of the model after it.
        ("storage", "full disk", "S3's disk is full until the run has ended"),
    ],
)
def test_a_full_disk_ends_the_run_with_its_reason(
    disks, ready, site, undisturbed, tmp_path, record_property, volume, reason, row
):
    left = disturb(ready, site, undisturbed, tmp_path, full_to_the_end(ready, volume))
    record_property("row", left.row(row))
    assert reason in left.told, left
    assert (left.state, left.tracked, left.again) == ("Failed", {"FAILED"}, "Completed"), left
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())


def test_a_full_disk_of_postgres_for_a_minute_costs_a_run_nothing_but_time(
    disks, ready, site, undisturbed, tmp_path, record_property
):
    left = disturb(ready, site, undisturbed, tmp_path, full_for_a_minute(ready, "postgres"))
    record_property("row", left.row("Postgres's disk is full for a minute"))
    assert (left.state, left.code, left.tracked) == ("Completed", 0, {"FINISHED"}), left
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())
