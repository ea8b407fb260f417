"""The servers' state after a real run: saved while they work, restored into an empty folder, and its champion asked."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import free_port, start_mlflow, stop
from tests.pipeline.conftest import PHANTOM, call

pytestmark = [pytest.mark.services, pytest.mark.slow]


@pytest.fixture(scope="module")
def restored(user, first_run, tmp_path_factory):
    """The environment of someone who has nothing but the backup, with an MLflow server on what it restored."""
    assert first_run.returncode == 0, first_run.stdout + first_run.stderr
    folder = tmp_path_factory.mktemp("backup")
    saved = call(user, "pneumo", "backup", str(folder / "copy"))
    assert saved.returncode == 0, saved.stdout + saved.stderr
    port = free_port()
    there = {**user, "PNEUMO_HOME": str(folder / "home"), "PNEUMO_SERVICES__MLFLOW_PORT": str(port)}
    done = call(there, "pneumo", "restore", str(folder / "copy"))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "home" / "files").symlink_to("artifacts")  # where start_mlflow keeps them
    server = start_mlflow(folder / "home", port)
    yield folder / "home", {**there, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    stop(server)


def test_the_champion_of_the_restored_place_scores_an_image(restored, user, tmp_path):
    _, there = restored
    image = min(Path(user["PNEUMO_HOME"]).glob("cache/phantom/**/test/*/*.jpeg"))
    done = call(there, "pneumo", "predict", "--phantom", "--json", "--out", str(tmp_path / "out.csv"), str(image))
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["model"].startswith(f"models:/{PHANTOM}/") and (said["images"], said["errors"]) == (1, 0)


def test_history_and_flow_runs_are_there(restored, user):
    home, there = restored
    before, after = (call(place, "pneumo", "champion", "--phantom", "--history", "--json") for place in (user, there))
    assert json.loads(after.stdout) == json.loads(before.stdout) != []
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as database:
        assert database.execute("SELECT count(*) FROM flow_run WHERE state_type = 'COMPLETED'").fetchone()[0] >= 1
