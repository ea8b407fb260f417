"""Files in the artifact store that belong to deleted runs, and the rows of these."""

import sqlite3
import time
import uuid

import pytest

from pneumo.errors import TrackingError
from pneumo.operations import access, retention
from pneumo.operations.retention import artifacts
from pneumo.settings import Settings
from pneumo.settings.data import Data
from pneumo.settings.servers import Tracking
from pneumo.tracking import Tracker
from pneumo.tracking.erase import owner_of
from tests.operations.retention.conftest import DAY, aged, names


@pytest.fixture
def store(tracker, tmp_path, monkeypatch):
    """A folder of artifacts, three days old: of a run that works, one that a person deleted, and one of nobody."""
    runs = {what: tracker.runs.start(what) for what in ("alive", "deleted", "erased")} | {"lost": uuid.uuid4().hex}
    for what in ("deleted", "erased", "alive"):
        tracker.runs.finish(runs[what])
    model = tracker.client.create_logged_model(tracker.runs.experiment_id, "m", runs["alive"]).model_id
    tracker.client.delete_logged_model(model)
    tracker.client.delete_run(runs["deleted"])
    tracker.eraser.erase_run(runs["erased"], [])
    places = {what: f"1/{run_id}" for what, run_id in runs.items()} | {"deleted model": f"1/models/{model}"}
    for place in places.values():
        aged(tmp_path / "artifacts" / place / "artifacts" / "a.png", 3)
    aged(tmp_path / "artifacts" / "notes" / "of" / "others.txt", 3)
    monkeypatch.setenv(access.ARTIFACTS, str(tmp_path / "artifacts"))
    return places


@pytest.mark.services
def test_only_what_house_keeping_removed_itself_is_swept_from_the_store(settings, tracker, store, tmp_path):
    ((item, remove),) = artifacts.left_artifacts(tracker, settings)
    remove()
    assert (item.name, item.bytes) == (store["erased"], 1)
    left = {path.relative_to(tmp_path / "artifacts").as_posix() for path in (tmp_path / "artifacts").rglob("*.*")}
    kept = {f"{store[what]}/artifacts/a.png" for what in ("alive", "deleted", "lost", "deleted model")}
    assert left == kept | {"notes/of/others.txt"}


@pytest.mark.services
def test_what_the_database_does_not_know_is_told_and_left_alone(settings, tracker, store, tmp_path):
    """It may be the newest model, where a database was restored from an older copy."""
    assert [item.name for item in artifacts.unknown_artifacts(tracker, settings)] == [store["lost"]]
    retention.apply(list(artifacts.left_artifacts(tracker, settings)), settings)
    assert (tmp_path / "artifacts" / store["lost"]).exists()
    told = retention.words([], retention.unknown(settings), "deleted")
    assert told == "0 things, 0.0 MiB: deleted; 1 folders of artifacts, 0.0 MiB, that MLflow does not know: left alone"


@pytest.mark.services
def test_what_house_keeping_removed_leaves_s3_and_others_stay(settings, tracker, s3_server, monkeypatch):
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server)
    alive, gone = tracker.runs.start("alive"), tracker.runs.start("gone")
    model = tracker.client.create_logged_model(tracker.runs.experiment_id, "m", gone).model_id
    for run_id in (alive, gone):
        tracker.runs.finish(run_id)
    tracker.eraser.erase_run(gone, [model])
    prefix = f"left-{uuid.uuid4().hex[:6]}"
    lost = uuid.uuid4().hex
    paths = [f"1/{run_id}/artifacts/a" for run_id in (alive, gone, lost)]
    for path in (*paths, f"1/models/{model}/artifacts/b", "notes/of/others.txt"):
        client.put_object(Bucket="hospital", Key=f"{prefix}/{path}", Body=b"x")
    monkeypatch.setenv(access.ARTIFACTS, f"s3://hospital/{prefix}")
    settings = settings.model_copy(update={"data": Data(s3_endpoint=s3_server)})
    assert not list(artifacts.left_artifacts(tracker, settings)), "all of it is younger than a day"
    monkeypatch.setattr(artifacts.time, "time", lambda now=time.time: now() + 2 * DAY)
    found = list(artifacts.left_artifacts(tracker, settings))
    assert names(found) == {f"1/{gone}", f"1/models/{model}"}
    for _, remove in found:
        remove()
    left = {item["Key"] for item in client.list_objects_v2(Bucket="hospital", Prefix=prefix)["Contents"]}
    assert left == {f"{prefix}/{path}" for path in (paths[0], paths[2], "notes/of/others.txt")}


@pytest.mark.parametrize("path", ["1/../../etc/passwd", "notes/x", "1/short/artifacts", "a/" + "0" * 32 + "/x"])
def test_what_is_not_mlflows_has_no_owner(path):
    assert owner_of(path) is None


@pytest.mark.services
def test_a_database_that_cannot_be_read_is_told_in_one_sentence(settings, tracker, tmp_path, monkeypatch):
    run_id = tracker.runs.start("old")
    tracker.eraser.erase_run(run_id, [])
    (tmp_path / "mlflow.db").write_text("not a database, and long enough to be looked at " * 100)
    monkeypatch.setenv(access.DATABASE, f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(TrackingError, match=r"forget deleted runs in MLflow's database, but .*file is not a database"):
        retention.purge(settings)


@pytest.mark.services
def test_only_what_house_keeping_deleted_a_day_ago_is_forgotten(mlflow_control, tmp_path, monkeypatch):
    port = mlflow_control.free_port()
    server = mlflow_control.start(tmp_path, port)
    try:
        tracker = Tracker(f"http://127.0.0.1:{port}", "purged")
        client, model = tracker.client, tracker.client.create_logged_model
        old, young, theirs = (tracker.runs.start(name) for name in ("old", "young", "theirs"))
        ours, others = (model(tracker.runs.experiment_id, "m", run).model_id for run in (old, theirs))
        tracker.eraser.erase_run(old, [ours])
        tracker.eraser.erase_run(young, [])
        client.delete_run(theirs)
        client.delete_logged_model(others)
        experiment = client.create_experiment("of a colleague")
        run = client.create_run(experiment).info.run_id
        client.delete_experiment(experiment)
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute("UPDATE runs SET deleted_time = 1 WHERE run_uuid <> ?", (young,))
            database.execute("UPDATE logged_models SET last_updated_timestamp_ms = 1")
            database.execute("UPDATE experiments SET last_update_time = 1 WHERE name = 'of a colleague'")
        monkeypatch.setenv(access.DATABASE, f"sqlite:///{tmp_path}/mlflow.db")
        retention.purge(Settings(home=tmp_path, tracking=Tracking(uri=tracker.uri, experiment="purged")))
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            assert {row[0] for row in database.execute("SELECT run_uuid FROM runs")} == {young, theirs, run}
            assert [row[0] for row in database.execute("SELECT model_id FROM logged_models")] == [others]
            assert database.execute("SELECT 1 FROM experiments WHERE name = 'of a colleague'").fetchall()
    finally:
        mlflow_control.stop(server)
