"""The workers' disk fills while a run trains: the run ends with its reason, and with space the next one goes on."""

import pytest

from tests.containers.disks import filled
from tests.containers.disturbed import disturb
from tests.containers.team import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]


@pytest.fixture
def disks(ready):
    if not ready.disks:
        pytest.skip("a file system of our own cannot be mounted here")
    yield ready.disks
    wait_for(ready.well, 300, "a doctor that finds nothing once there is space")


def test_a_workers_full_disk_ends_the_run_with_its_reason(disks, ready, site, undisturbed, tmp_path, record_property):
    def harm(_, person):
        with filled(disks["worker"]):
            person.end(1500)

    left = disturb(ready, site, undisturbed, tmp_path, harm)
    record_property("row", left.row("the workers' disk is full until the run has ended"))
    assert "No space left" in left.told, left
    assert (left.state, left.tracked, left.again) == ("Failed", {"FAILED"}, "Completed"), left
    assert (left.same_weights, left.open, left.failures) == (True, 0, ())
