import os
import sqlite3
import time
import uuid
from pathlib import Path

import pandas as pd
import pytest

from pneumo.data import packs, prune
from pneumo.data.version import keep_version
from pneumo.errors import TrackingError
from pneumo.operations import access, retention
from pneumo.operations.retention import files, stores, tracked
from pneumo.settings import Data, Registry, Retention, Settings, Tracking
from pneumo.tracking import Tracker
from pneumo.tracking.erase import owner_of

DAY = 86_400
LIMITS = Retention(days=10, runs=1, log_mb=0.001)


def aged(path: Path, days: float, content: str = "x") -> Path:
    """A file, or a folder with one, that was last changed so long ago."""
    file = path if path.suffix else path / "content"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    for place in (file, path):
        then = time.time() - days * DAY
        os.utime(place, (then, then))
    return path


def names(removals):
    return {item.name for item, _ in removals}


def test_only_old_caches_checkpoints_reports_and_logs_go(tmp_path):
    for days, age in (("old", 11), ("young", 9)):
        for place in (f"cache/train/{days}", f"checkpoints/{days}", f"runs/{days}", f"logs/{days}.log"):
            aged(tmp_path / place, age)
    found = list(files.old_files(tmp_path, LIMITS, ()))
    assert names(found) == {"cache/train/old", "checkpoints/old", "runs/old", "logs/old.log"}
    for _, remove in found:
        remove()
    assert not list(tmp_path.rglob("*old*"))
    assert len(list(tmp_path.rglob("*young*"))) == 4


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    aged(tmp_path / "cache/train/.key.1a2b3c4d", 1.1)
    aged(tmp_path / "cache/train/.other.1a2b3c4d", 0.9)
    assert names(files.old_files(tmp_path, LIMITS, ())) == {"cache/train/.key.1a2b3c4d"}


def test_locks_measurements_and_claimed_runs_stay(tmp_path):
    aged(tmp_path / "cache/train/key.lock", 99)
    aged(tmp_path / "cache/files.sqlite", 99)
    aged(tmp_path / "runs/mine", 99)
    (tmp_path / "runs/mine/process.json").write_text("{}")
    assert names(files.old_files(tmp_path, LIMITS, ())) == set()


def test_a_needed_data_set_stays_with_its_images(tmp_path):
    roots = [tmp_path / "cache" / "phantom" / name for name in ("needed", "other")]
    versions = []
    for root in roots:
        row = {"path": root.name, "sha256": "s", "label": "NORMAL", "subtype": "none", "patient": "p", "split": "train"}
        versions.append(keep_version(pd.DataFrame([row]), "x", True, root / "chest_xray", tmp_path))
        aged(root / "chest_xray" / "a.jpeg", 99)
        for place in (
            root / "chest_xray",
            root,
            versions[-1].manifest,
            versions[-1].manifest.with_name("version.json"),
        ):
            os.utime(place, (1, 1))
        os.utime(versions[-1].manifest.parent, (1, 1))
    found = names(files.old_files(tmp_path, LIMITS, {versions[0].digest}))
    assert found == {"cache/phantom/other", f"cache/split/{versions[1].digest[:16]}"}


def test_a_long_log_loses_its_beginning_while_it_is_written(tmp_path):
    file = tmp_path / "services" / "prefect.log"
    file.parent.mkdir()
    with file.open("ab") as server:
        server.write(b"old line\n" * 500 + b"last line\n")
        server.flush()
        ((item, cut),) = files.long_logs(tmp_path, LIMITS)
        cut()
        server.write(b"next line\n")
    text = file.read_text()
    assert text.endswith("last line\nnext line\n")
    assert len(text) < 1000
    assert item.bytes > 0


def evaluated(tracker, name, age_days, monkeypatch):
    """A pipeline run with a child whose model is registered, as old as is said; returns the version."""
    then = time.time() - age_days * DAY
    parent = tracker.start_run("pipeline", tags={"stage": "pipeline"})
    child = tracker.start_run("candidate", parent=parent)
    tracker.log_text(child, "figures", "figures/roc.txt")
    model = tracker.client.create_logged_model(tracker.experiment_id, "m", child)
    tracker.client.finalize_logged_model(model.model_id, "READY")
    tags = {"pipeline.run": parent, "dataset.digest": uuid.uuid4().hex}
    version = tracker.register(f"models:/{model.model_id}", name, tags=tags)
    for run in (child, parent):
        tracker.finish(run)
    return version, parent, child, then


@pytest.fixture
def registered(settings, tracker, monkeypatch):
    """Five versions of one model, all of them old: 1 and 2 are unneeded, 3 is before the champion, 5 the newest."""
    name = f"model-{uuid.uuid4().hex[:8]}"
    settings = settings.model_copy(
        update={"registry": Registry(model=name, phantom_model=f"{name}-phantom"), "retention": LIMITS}
    )
    made = [evaluated(tracker, name, 99, monkeypatch) for _ in range(5)]
    tracker.set_alias(name, "champion", "4")
    monkeypatch.setattr(tracked.time, "time", lambda now=time.time: now() + 99 * DAY)
    return settings, name, made


@pytest.mark.services
def test_champion_the_one_before_and_their_runs_stay(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    versions = list(tracked.old_versions(tracker, settings, keep))
    runs = list(tracked.old_runs(tracker, settings.retention, keep))
    assert names(versions) == {f"{name} 1", f"{name} 2"}
    assert {item.name.split("(")[1] for item, _ in runs} == {f"{made[0][1]})", f"{made[1][1]})"}
    assert {tracker.version(name, number).tags["dataset.digest"] for number in ("3", "4")} == keep.digests


@pytest.mark.services
def test_a_removed_run_takes_its_files_and_models_with_it(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    for _, remove in [*tracked.old_versions(tracker, settings, keep), *tracked.old_runs(tracker, LIMITS, keep)]:
        remove()
    assert [version.version for version in tracker.versions(name)] == ["3", "4", "5"]
    assert tracker.client.get_run(made[0][2]).info.lifecycle_stage == "deleted"
    assert tracker.client.list_artifacts(made[0][2], "figures") == []
    assert tracker.client.list_artifacts(made[3][2], "figures") != []
    assert tracker.alias(name, "champion") == "4"
    assert names(tracked.old_versions(tracker, settings, tracked.needed(tracker, settings))) == set()


@pytest.mark.services
def test_nothing_younger_than_the_limit_goes(registered, tracker, monkeypatch):
    settings, _, _ = registered
    monkeypatch.undo()
    keep = tracked.needed(tracker, settings)
    assert not list(tracked.old_versions(tracker, settings, keep))
    assert not list(tracked.old_runs(tracker, settings.retention, keep))


@pytest.mark.services
def test_objects_that_nobody_owns_leave_s3_and_others_stay(settings, tracker, s3_server, monkeypatch):
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server)
    alive = tracker.start_run("alive")
    prefix = f"left-{uuid.uuid4().hex[:6]}"
    gone, model = uuid.uuid4().hex, f"m-{uuid.uuid4().hex}"
    paths = (f"1/{gone}/artifacts/a", f"1/models/{model}/artifacts/b", f"1/{alive}/artifacts/c", "notes/of/others.txt")
    for path in paths:
        client.put_object(Bucket="hospital", Key=f"{prefix}/{path}", Body=b"x")
    monkeypatch.setenv(access.ARTIFACTS, f"s3://hospital/{prefix}")
    settings = settings.model_copy(update={"data": Data(s3_endpoint=s3_server)})
    assert not list(stores.left_artifacts(tracker, settings)), "all of it is younger than a day"
    monkeypatch.setattr(stores.time, "time", lambda now=time.time: now() + 2 * DAY)
    found = list(stores.left_artifacts(tracker, settings))
    assert names(found) == {f"1/{gone}", f"1/models/{model}"}
    for _, remove in found:
        remove()
    left = [item["Key"] for item in client.list_objects_v2(Bucket="hospital", Prefix=prefix)["Contents"]]
    assert left == [f"{prefix}/1/{alive}/artifacts/c", f"{prefix}/notes/of/others.txt"]
    tracker.finish(alive)


@pytest.mark.services
def test_files_that_nobody_owns_leave_the_folder(settings, tracker, tmp_path, monkeypatch):
    gone = tmp_path / "artifacts" / "1" / uuid.uuid4().hex
    aged(gone / "artifacts" / "figures" / "a.png", 3)
    monkeypatch.setenv(access.ARTIFACTS, str(tmp_path / "artifacts"))
    ((item, remove),) = stores.left_artifacts(tracker, settings)
    remove()
    assert item.bytes == 1
    assert not gone.exists()


@pytest.mark.parametrize("path", ["1/../../etc/passwd", "notes/x", "1/short/artifacts", "a/" + "0" * 32 + "/x"])
def test_what_is_not_mlflows_has_no_owner(path):
    assert owner_of(path) is None


@pytest.mark.services
def test_old_flow_runs_go_but_for_the_newest(settings, prefect, monkeypatch):
    deployment = prefect.deployment(f"old-{uuid.uuid4().hex[:6]}")
    first, second = (prefect.run(deployment, "RUNNING", "COMPLETED") for _ in range(2))
    settings = settings.model_copy(update={"retention": LIMITS})
    assert not list(retention._old_flow_runs(prefect.api, settings))

    class Later(retention.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + retention.timedelta(days=11)

    monkeypatch.setattr(retention, "datetime", Later)
    removals = [pair for pair in retention._old_flow_runs(prefect.api, settings)]
    for _, remove in removals:
        remove()
    assert prefect.api.find_run(first) is None
    assert prefect.api.find_run(second) is not None


def test_a_purge_that_fails_is_told_in_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db").write_text("not a database, and long enough to be looked at " * 100)
    monkeypatch.setenv(access.DATABASE, f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(TrackingError, match=r"Expected `mlflow gc` to forget what was deleted.*file is not a database"):
        retention.purge(Settings(home=tmp_path))


@pytest.mark.services
def test_what_was_deleted_a_day_ago_is_forgotten(mlflow_control, tmp_path, monkeypatch):
    port = mlflow_control.free_port()
    server = mlflow_control.start(tmp_path, port)
    try:
        tracker = Tracker(f"http://127.0.0.1:{port}", "purged")
        old, young = tracker.start_run("old"), tracker.start_run("young")
        for run_id in (old, young):
            tracker.finish(run_id)
            tracker.erase_run(run_id, [])
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute("UPDATE runs SET deleted_time = 1 WHERE run_uuid = ?", (old,))
        monkeypatch.setenv(access.DATABASE, f"sqlite:///{tmp_path}/mlflow.db")
        retention.purge(Settings(home=tmp_path, tracking=Tracking(uri=tracker.uri)))
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            assert database.execute("SELECT run_uuid FROM runs").fetchall() == [(young,)]
    finally:
        mlflow_control.stop(server)


def test_old_versions_leave_s3_with_the_images_that_only_they_have(tmp_path, s3_server):
    place = Data(storage=f"s3://hospital/prune-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    versions = []
    for name, images in (("a", "12"), ("b", "23"), ("c", "34")):
        versions.append(pushed(tmp_path / name, images, place))
        time.sleep(1.1)  # S3 tells times in seconds
    later = retention.datetime.now(retention.UTC) + retention.timedelta(days=1)
    assert prune.surplus(place, {versions[0]}, newest=1, before=later - retention.timedelta(days=2)) == ([], [])
    doomed, shards = prune.surplus(place, {versions[0]}, newest=1, before=later)
    assert [one.name for one in doomed] == [versions[1]], "the first is needed, the last the newest"
    for one in [*doomed, *shards]:
        prune.remove(place, one)
    assert set(packs.stored(place)) == {versions[0], versions[2]}
    for digest in (versions[0], versions[2]):
        packs.pull(digest, tmp_path / "elsewhere", place)


def test_what_trainings_elsewhere_left_goes_when_it_is_old(s3_server):
    place = Data(storage=f"s3://hospital/left-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    bucket = packs.bucket_of(place)
    for key in (bucket.key("train", "k1", "model.keras"), bucket.key("train", "k1", "files.json")):
        bucket.put(key, b"x")
    bucket.put(bucket.key("checkpoints", "k2"), b"x")
    now = retention.datetime.now(retention.UTC)
    assert prune.old_trainings(place, now - retention.timedelta(days=1)) == []
    doomed = prune.old_trainings(place, now + retention.timedelta(days=1))
    assert {one.name: one.bytes for one in doomed} == {"k1": 2, "k2": 1}
    for one in doomed:
        prune.remove(place, one)
    assert list(bucket.list()) == []


def pushed(root: Path, images: str, place: Data) -> str:
    """A version of files with these contents, on the storage; returns its digest."""
    import hashlib

    rows = []
    for content in images:
        (root / content).parent.mkdir(parents=True, exist_ok=True)
        (root / content).write_text(content * 100)
        data = (root / content).read_bytes()
        row = {"path": content, "sha256": hashlib.sha256(data).hexdigest(), "label": "NORMAL", "subtype": "none"}
        rows.append({**row, "patient": content, "split": "train", "bytes": len(data)})
    version = keep_version(pd.DataFrame(rows), str(root), False, root, root.parent / "home")
    packs.push(version, place)
    return version.digest
