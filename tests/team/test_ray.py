"""Two machines of a Ray cluster, made on loopback: same champion as on one, and a machine is lost in the middle.

Each machine has a state folder of its own; what they share is the S3 server, MLflow and Prefect.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

# Two whole runs, each with a cluster to start: more than the ten minutes of other tests on a slow machine.
pytestmark = [pytest.mark.team, pytest.mark.timeout(1500)]
PROJECT = Path(__file__).parents[2]
SMALL = {"data": "phantom:64", "backbones": ["MobileNet:0.25", "MobileNetV2:0.35"], "epochs": 1, "image_size": 32}
OPEN = ("MINIMUM_AUC", "MINIMUM_SENSITIVITY", "MINIMUM_SPECIFICITY", "MAXIMUM_CALIBRATION_ERROR", "MAXIMUM_SLICE_DROP")

COMMON = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}


@pytest.fixture
def prefect_server(monkeypatch):
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())
        yield


def train(**parameters):
    """A run in a process of its own, as a worker starts it: no second client of the cluster is in it."""
    code = f"from flows.train import train; train(**{parameters!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture
def settings(tmp_path, monkeypatch, s3_server, mlflow_server, request):
    """Variables of every machine, and a state folder for the head."""
    given = {
        "PNEUMO_TRACKING__URI": mlflow_server,
        "PNEUMO_TRACKING__EXPERIMENT": request.node.name,
        "PNEUMO_REGISTRY__PHANTOM_MODEL": request.node.name,
        "PNEUMO_DATA__STORAGE": f"s3://hospital/{request.node.name}",
        "PNEUMO_DATA__S3_ENDPOINT": s3_server,
        "PNEUMO_HOME": str(tmp_path / "head"),
        "PNEUMO_ENGINE__MEMORY_GIB": "0.5",
        "PNEUMO_PROMOTION__MAXIMUM_LATENCY_MS": "60000",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "60",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray puts the network card's address in the place of loopback's
        **{f"PNEUMO_PROMOTION__{name}": "1" if name.startswith("MAXIMUM") else "0" for name in OPEN},
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def cluster(settings, monkeypatch):
    """A head without room for trainings, and two machines with one place each."""
    from ray.cluster_utils import Cluster

    made = again(lambda: Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **COMMON}))
    monkeypatch.setenv("RAY_ADDRESS", made.address)
    made.machines = [add(made, settings / name) for name in ("one", "two")]
    yield made
    # Its threads ask the head for ever; a process that ends while they find it gone can die of that.
    made.global_state.disconnect()
    made.shutdown()


def add(cluster, home):
    own = {"PNEUMO_HOME": str(home)}
    return again(lambda: cluster.add_node(num_cpus=1, memory=1 << 30, env_vars=own, **COMMON))


def again(start):
    """A node gives its agent fifteen seconds to start, and dies of it on a busy machine: a second try finds it warm."""
    for _ in range(2):
        try:
            return start()
        except Exception as error:  # Ray raises no other class for this
            if "timed out during startup" not in str(error):
                raise
    return start()


def champion(home):
    """What the newest run of a machine came to."""
    newest = max(Path(home).glob("runs/*/summary.json"), key=lambda file: file.stat().st_mtime)
    return json.loads(newest.read_text())


def scores(summary):
    return {row["name"]: row["validation_auc"] for row in summary["candidates"]}


def test_two_machines_find_the_champion_that_one_finds(prefect_server, settings, cluster, monkeypatch):
    """Each of them gives a training one core, so here it gets one, too: then the weights are the same to the bit."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    train(**SMALL)
    alone = champion(settings / "head")
    monkeypatch.setenv("PNEUMO_HOME", str(settings / "second head"))
    monkeypatch.setenv("PNEUMO_ENGINE__ADDRESS", "auto")
    train(**SMALL)
    together = champion(settings / "second head")
    assert scores(together) == pytest.approx(scores(alone), abs=1e-6)
    assert together["digest"] == alone["digest"]
    trained = {home: list((settings / home / "cache/train").glob("*/model.keras")) for home in ("one", "two")}
    assert all(len(found) == 1 for found in trained.values()), "one training on each machine"
    assert list((settings / "one/cache/pulled").iterdir()), "the data came by their digest"


def test_a_training_whose_machine_is_lost_goes_on_elsewhere(prefect_server, settings, cluster, monkeypatch):
    from pneumo.tracking import Tracker

    monkeypatch.setenv("PNEUMO_ENGINE__ADDRESS", "auto")
    lost = []

    def lose_one():
        """Take away the machine that has finished an epoch, in the middle of the next."""
        deadline = time.monotonic() + 500
        while time.monotonic() < deadline:
            for name, machine in zip(("one", "two"), cluster.machines, strict=True):
                if list((settings / name / "checkpoints").glob("*/checkpoint.npz")):
                    time.sleep(1)
                    cluster.remove_node(machine, allow_graceful=False)
                    lost.append(name)
                    return
            time.sleep(0.1)

    thief = threading.Thread(target=lose_one)
    thief.start()
    train(data="phantom:96", backbones=["MobileNetV2:0.35"], epochs=8, image_size=64)
    thief.join()
    assert len(lost) == 1
    (other,) = {"one", "two"} - set(lost)
    (history,) = (settings / other).glob("cache/train/*/history.json")
    epochs = json.loads(history.read_text())["epochs"]
    assert [row["epoch"] for row in epochs] == list(range(1, 9))
    tracker = Tracker(os.environ["PNEUMO_TRACKING__URI"], os.environ["PNEUMO_TRACKING__EXPERIMENT"])
    runs = tracker.client.search_runs([tracker.runs.experiment_id], "tags.candidate = 'MobileNetV2 0.35'")
    assert [run.info.status for run in runs] == ["FINISHED"], "one child run, that went on"
    first = [row for row in tracker.client.get_metric_history(runs[0].info.run_id, "loss") if row.step == 1]
    assert len(first) == 1, "the first epoch was not done again"
