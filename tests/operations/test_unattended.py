"""A machine that runs by itself: killed, left alone, given new images, interrupted; with all real parts."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bench._site import ROOT, Site, digest_of, weights_of
from pneumo.data.quality import gate
from pneumo.data.sources import phantom, schemes
from pneumo.data.store import image_store, versions
from pneumo.operations import processes
from pneumo.operations import webhook as sender
from pneumo.operations.embedded import QUIET
from pneumo.operations.prefect_api import FINAL_STATES
from pneumo.settings.data import Data, Gate
from pneumo.settings.promotion import Registry
from pneumo.training.candidates.candidate import train
from pneumo.training.candidates.spec import candidate_specs
from tests.webhook import Webhook

RECIPE = {"backbones": ["MobileNet:0.25"], "weights": "none", "epochs": 3, "image_size": 32, "ensemble": False}
MODEL = Registry().model
pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Drawn images, and a folder of most of them that a user would train on."""
    drawn = phantom.draw(tmp_path_factory.mktemp("pool"), 176)
    source = tmp_path_factory.mktemp("source") / "xray"
    shutil.copytree(drawn, source)
    held_back = [file for file in sorted(source.rglob("train/*/*.jpeg"))][::12]
    for file in held_back:
        file.unlink()
    return drawn, source, [file.relative_to(source) for file in held_back]


@pytest.fixture(scope="module")
def webhook():
    with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def site(tmp_path_factory, webhook):
    site = Site(tmp_path_factory.mktemp("home"))
    site.environment |= {"PNEUMO_WATCH__NEW_IMAGES": "4", sender.VARIABLE: webhook.url}
    site.up()
    yield site
    site.down()


def test_all_is_there_and_a_second_up_has_nothing_to_do(site):
    again = site.command("up")
    assert (again.returncode, "starting" in again.stdout, "registering" in again.stdout) == (0, False, False)
    rows = {row["what"]: row["state"] for row in json.loads(site.command("doctor", "--json").stdout)}
    failed = [name for name in ("Prefect server", "worker", "deployments", "MLflow server") if rows[name] != "ok"]
    assert failed == []
    watched = site.api.pages("/automations/filter", {})
    assert {"pneumo: silent runs", "pneumo: runs never started"} <= {item["name"] for item in watched}


@pytest.fixture(scope="module")
def killed(site, pool):
    """A run whose process was killed after an epoch, and the one that went on."""
    first = site.start("train", data=str(pool[1]), **RECIPE)
    site.wait_for(lambda site: site.has("checkpoints/*/checkpoint.npz"), first)
    assert site.kill("flow")
    site.up()
    died = site.wait(first)
    left = site.tracker().runs.unfinished({"prefect.flow_run_id": first})
    second = site.wait(site.start("train", data=str(pool[1]), **RECIPE))
    return died, left, second


def test_a_killed_run_is_closed_on_both_servers(killed, site):
    died, left, _ = killed
    assert died["state_type"] == "CRASHED"
    assert left == []
    (run,) = site.tracker().runs.newest({"prefect.flow_run_id": died["id"], "stage": "pipeline"}, "KILLED")
    assert "its process died" in run.tags["reason"]
    tasks = site.api.tasks(died["id"])
    assert {task["state_type"] for task in tasks} <= FINAL_STATES


def test_death_and_promotion_are_told(killed, webhook):
    assert [(told["kind"], told["title"]) for told in webhook.got] == [
        ("failure", "a run died"),
        ("promotion", f"{MODEL} version 1 is champion"),
    ]


def test_its_training_goes_on_to_the_weights_of_an_undisturbed_one(killed, site, pool, tmp_path):
    assert killed[2]["state_type"] == "COMPLETED", killed[2]["state"]
    inventory = schemes.ingest(str(pool[1]), tmp_path, Data())
    data = versions.make_version(inventory, gate.validate(inventory, tmp_path, Gate(), None), tmp_path)
    (spec,) = candidate_specs(RECIPE["backbones"], "none", 32, RECIPE["epochs"])
    undisturbed = train(spec, data, image_store.decode_all(data, tmp_path, 32, "squash"), "none", tmp_path)
    assert weights_of(site.tracker(), f"models:/{MODEL}@champion") == digest_of(undisturbed.model)


def test_nothing_is_done_twice(killed, site):
    states = {task["name"]: task["state_name"] for task in site.api.tasks(killed[2]["id"])}
    assert {states[name] for name in ("validate", "split", "explore", "preprocess")} == {"Cached"}


def test_unchanged_images_are_nothing_to_do(killed, site):
    run = site.wait(site.start("retrain"))
    assert run["state_type"] == "COMPLETED"
    assert run["state"]["message"].startswith("Nothing to do: data, parameters, settings and code are those of")


def test_four_writers_at_once_see_no_locked_database(site):
    write = "import sys; from pneumo.tracking import Tracker; tracker = Tracker(sys.argv[1], 'writers'); "
    write += "run = tracker.runs.start('w'); [tracker.log.metrics(run, {'x': n}, step=n) for n in range(60)]; "
    write += "tracker.runs.finish(run)"
    command = [sys.executable, "-c", write, site.mlflow]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(writer.communicate()[1], writer.returncode)[1] for writer in writers] == [0] * 4
    assert "database is locked" not in (site.home / "services" / "mlflow.log").read_text()


def test_new_images_start_a_retraining_by_themselves(killed, site, pool):
    drawn, source, held_back = pool
    quiet = site.wait(site.start("watch"))
    assert quiet["state"]["message"] == "0 new images. No reason to train again."
    for file in held_back:
        shutil.copy2(drawn / file, source / file)
    told = site.wait(site.start("watch"))
    assert f"{len(held_back)} images are new to champion" in told["state"]["message"]
    retrain = site.api.deployment("pneumonia/retrain")["id"]
    deadline = time.monotonic() + 600
    while not (found := [run for run in site.api.runs(("SCHEDULED", "PENDING", "RUNNING"), retrain)]):
        assert time.monotonic() < deadline, "the automation has not asked for a retraining"
        time.sleep(0.5)
    assert found[0]["parameters"] == {"data": str(source)}
    site.api.cancel(found[0]["id"])
    assert site.wait(found[0]["id"])["state_type"] == "CANCELLED"
    series = site.tracker().runs.newest({"stage": "watch"})
    assert [value for _, value in site.tracker().runs.series(series[0].run_id, "new_images")] == [0, len(held_back)]


def test_house_keeping_touches_nothing_young(killed, site):
    run = site.wait(site.start("maintain", apply=True))
    assert run["state"]["message"] == "0 things, 0.0 MiB: deleted."


def test_ctrl_c_during_a_training_leaves_nothing_open(killed, site, pool):
    command = [sys.executable, "-m", "pneumo.cli", "train", "--data", str(pool[1]), "--param", "seed=3"]
    command += [
        "--backbones",
        "MobileNet:0.25",
        "--weights",
        "none",
        "--param",
        "epochs=500",
        "--param",
        "image_size=32",
    ]
    user = subprocess.Popen(command, env=site.environment, cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 900
    while not site.members("training"):
        assert user.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (run,) = site.api.runs(("RUNNING",))
    user.send_signal(signal.SIGINT)
    assert user.wait(120) == 130
    assert site.wait(run["id"])["state_type"] == "CANCELLED"
    while site.members("flow"):
        assert time.monotonic() < deadline, "the flow's process lives on"
        time.sleep(0.2)
    assert site.open_runs() == []
    assert site.strays() == []
    ended = site.tracker().runs.newest({"prefect.flow_run_id": run["id"], "stage": "pipeline"}, "KILLED")
    assert ended[0].tags["reason"] == "the flow run was cancelled"


def test_ctrl_c_while_the_servers_start_leaves_none_of_them(tmp_path):
    site = Site(tmp_path)
    command = [sys.executable, "-m", "pneumo.cli", "up"]
    user = subprocess.Popen(command, env=site.environment | QUIET, cwd=ROOT, start_new_session=True)
    while not site.has("services/prefect.json"):
        assert user.poll() is None
        time.sleep(0.05)
    user.send_signal(signal.SIGINT)
    assert user.wait(120) != 0
    assert [name for name in ("prefect", "mlflow", "worker") if processes.descended(tmp_path / "services", name)] == []
    assert site.strays() == []
