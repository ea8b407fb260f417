"""A Ray cluster of three containers: the one that trains is lost, and the training goes on in another."""

import json
import secrets
import time
from contextlib import ExitStack

import pytest

from tests.containers.disturbed import RECIPE
from tests.containers.team import HARDENED, wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]
OWN = {"PNEUMO_ENGINE__MEMORY_GIB": "0.5", "RAY_USAGE_STATS_ENABLED": "0"}
PLACE = "--object-store-memory=80000000"


@pytest.fixture
def cluster(ready):
    """A head without room for trainings, and two machines of one core; gives its name and the machines' containers."""
    head = f"ray-{secrets.token_hex(3)}"
    (worker, *_) = ready.containers("worker")
    given = dict(line.split("=", 1) for line in worker["Config"]["Env"])
    knows = {
        name: value for name, value in given.items() if name.startswith(("AWS_", "MLFLOW_", "PNEUMO_", "PREFECT_"))
    }
    with ExitStack() as stack:

        def machine(name, *words):
            environment = [f"--env={key}={value}" for key, value in (knows | OWN).items()]
            where = (f"--name={name}", f"--hostname={name}", f"--network={ready.name}_stores", "--shm-size=256m")
            start = (ready.images["worker"], "ray", "start", *words, PLACE, "--block")
            done = ready.engine.call("run", "--detach", *where, *HARDENED, *environment, *start)
            assert done.returncode == 0, done.stderr
            stack.callback(ready.engine.call, "rm", "--force", "--volumes", name)
            return name

        machine(head, "--head", "--num-cpus=0", "--include-dashboard=false")
        wait_for(
            lambda: "Active" in ready.engine.call("exec", head, "ray", "status").stdout, 180, "a head that answers"
        )
        found = [machine(f"{head}-{number}", f"--address={head}:6379", "--num-cpus=1") for number in (1, 2)]
        status = ("exec", head, "ray", "status")
        wait_for(lambda: "/2.0 CPU" in ready.engine.call(*status).stdout, 180, "two machines of the cluster")
        yield head, found


def test_a_training_whose_container_is_lost_goes_on_in_another(cluster, ready, site, record_property):
    head, machines = cluster

    def has(machine, pattern):
        return ready.engine.call("exec", machine, "sh", "-c", f"cat {pattern}").stdout

    def begun():
        assert ready.state(run)["type"] in ("SCHEDULED", "PENDING", "RUNNING"), ready.state(run)
        return [name for name in machines if has(name, "/data/checkpoints/*/checkpoint.npz | wc -c").strip() != "0"]

    elsewhere = OWN | {"PNEUMO_ENGINE__ADDRESS": f"ray://{head}:10001"}
    run = ready.ask_for_run(elsewhere, **(RECIPE | {"seed": 21}))
    wait_for(begun, 600, "a checkpoint on one of the machines")
    (lost,) = begun()
    assert ready.engine.call("kill", lost).returncode == 0
    killed = time.monotonic()
    assert ready.end_of(run, seconds=1200) == ["COMPLETED"], ready.state(run)
    record_property("row", f"| a container of a Ray cluster is lost | {time.monotonic() - killed:.0f} s |")
    (other,) = set(machines) - {lost}
    epochs = json.loads(has(other, "/data/cache/train/*/history.json"))["epochs"]
    assert [row["epoch"] for row in epochs] == list(range(1, RECIPE["epochs"] + 1))
    assert set(ready.tracked(run)) == {"FINISHED"} and ready.open_runs() == []
    (child,) = [
        found for found in site.tracker().runs.newest({"prefect.flow_run_id": run, "stage": "candidate"}, limit=9)
    ]
    first = [row for row in site.tracker().client.get_metric_history(child.run_id, "loss") if row.step == 1]
    assert len(first) == 1, "the first epoch was not done again"
