import os
import sqlite3
import time
import uuid
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from pneumo.cache import is_kept
from pneumo.data.store import old_objects, packs
from pneumo.data.store.versions import keep_version
from pneumo.errors import PromotionError, TrackingError
from pneumo.operations import access, processes, retention
from pneumo.operations.embedded import environment, table
from pneumo.operations.prefect_api import UNDER_WAY, PrefectApi
from pneumo.operations.retention import artifacts, files, tracked
from pneumo.registry import history
from pneumo.registry.promotion import alias_switch
from pneumo.sections import Data, Registry, Retention, Tracking
from pneumo.service_sections import Services
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from pneumo.tracking.erase import owner_of
from pneumo.tracking.runs import Runs
from tests.conftest import free_port
from tests.operations.conftest import Prefect

DAY = 86_400
OLD, YOUNG, ID = "0123456789abcdef", "fedcba9876543210", "-0000-4000-8000-0123456789ab"
LIMITS = Retention(days=10, runs=1, log_mb=0.001)
STILL = partial(partial, alias_switch.still)  # of settings: as the command and the flow hand it in
ROW = {"path": "a", "sha256": "s", "label": "NORMAL", "subtype": "none", "patient": "p", "split": "train"}


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
    gone, left = (
        {f"cache/train/{key}", f"cache/reference/{key}.parquet", f"checkpoints/{key}", f"runs/{key[:8]}{ID}",
         f"runs/predict-{key}", f"logs/train-{key}.log"} for key in (OLD, YOUNG)
    )  # fmt: skip
    for place in gone | left:
        aged(tmp_path / place, 11 if place in gone else 9)
    found = list(files.old_files(tmp_path, LIMITS, tuple))
    assert names(found) == gone
    for _, remove in found:
        remove()
    assert not any((tmp_path / place).exists() for place in gone)
    assert all((tmp_path / place).exists() for place in left)


@pytest.mark.parametrize(
    "place",
    [
        "cache/pip/wheels",
        "cache/models/large",
        "cache/mine/.config",
        "checkpoints/epoch-3",
        "runs/exp7",
        "logs/nginx.log",
    ],
)
def test_what_others_keep_in_a_folder_that_became_the_state_folder_stays(tmp_path, place):
    aged(tmp_path / place, 999)
    assert not list(files.old_files(tmp_path, LIMITS, tuple))


def test_what_a_killed_process_left_goes_after_a_day(tmp_path):
    aged(tmp_path / "cache/train/.key.1a2b3c4d", 1.1)
    aged(tmp_path / "cache/train/.other.1a2b3c4d", 0.9)
    assert names(files.old_files(tmp_path, LIMITS, tuple)) == {"cache/train/.key.1a2b3c4d"}


def test_what_was_used_claimed_or_is_needed_since_the_plan_stays(tmp_path):
    digests = set()
    version = keep_version(pd.DataFrame([ROW]), "x", True, tmp_path / "images", tmp_path)
    for place in (
        "cache/train/aaaaaaaaaaaaaaaa",
        "cache/train/bbbbbbbbbbbbbbbb",
        "runs/cccccccc-0000-4000-8000-0123456789ab",
    ):
        aged(tmp_path / place, 11)
    for place in (version.manifest, version.manifest.with_name("version.json"), version.manifest.parent):
        os.utime(place, (1, 1))
    removals = list(files.old_files(tmp_path, LIMITS, lambda: digests))
    assert len(removals) == 4
    assert is_kept(tmp_path / "cache/train/aaaaaaaaaaaaaaaa")
    (tmp_path / "runs/cccccccc-0000-4000-8000-0123456789ab/process.json").write_text("{}")
    digests.add(version.digest)  # a rollback has made it the champion's
    assert {item.name for item, remove in removals if remove()} == {"cache/train/bbbbbbbbbbbbbbbb"}
    assert version.manifest.exists() and (tmp_path / "cache/train/aaaaaaaaaaaaaaaa/content").exists()


def test_locks_measurements_and_claimed_runs_stay(tmp_path):
    aged(tmp_path / "cache/train/key.lock", 99)
    aged(tmp_path / "cache/files.sqlite", 99)
    aged(tmp_path / "runs/dddddddd-0000-4000-8000-0123456789ab", 99)
    (tmp_path / "runs/dddddddd-0000-4000-8000-0123456789ab/process.json").write_text("{}")
    assert names(files.old_files(tmp_path, LIMITS, tuple)) == set()


def test_a_needed_data_set_stays_with_its_images(tmp_path):
    roots = [tmp_path / "cache" / "phantom" / name for name in ("d" * 16, "e" * 16)]
    versions = []
    for root in roots:
        row = pd.DataFrame([ROW | {"path": root.name}])
        versions.append(keep_version(row, "x", True, root / "chest_xray", tmp_path))
        aged(root / "chest_xray" / "a.jpeg", 99)
        for place in (
            root / "chest_xray",
            root,
            versions[-1].manifest,
            versions[-1].manifest.with_name("version.json"),
        ):
            os.utime(place, (1, 1))
        os.utime(versions[-1].manifest.parent, (1, 1))
    found = names(files.old_files(tmp_path, LIMITS, lambda: {versions[0].digest}))
    assert found == {"cache/phantom/eeeeeeeeeeeeeeee", f"cache/split/{versions[1].digest[:16]}"}


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
    parent = tracker.runs.start("pipeline", tags={"stage": "pipeline"})
    child = tracker.runs.start("candidate", parent=parent)
    tracker.log.text(child, "figures", "figures/roc.txt")
    model = tracker.client.create_logged_model(tracker.runs.experiment_id, "m", child)
    tracker.client.finalize_logged_model(model.model_id, "READY")
    tags = {"pneumo.key": uuid.uuid4().hex, "pipeline.run": parent, "dataset.digest": uuid.uuid4().hex}
    version = tracker.registry.register(f"models:/{model.model_id}", name, tags=tags)
    for run in (child, parent):
        tracker.runs.finish(run)
    return version, parent, child, then


@pytest.fixture
def registered(settings, tracker, monkeypatch):
    """Five versions of one model, all of them old: 1 and 2 are unneeded, 3 is before the champion, 5 the newest."""
    name = f"model-{uuid.uuid4().hex[:8]}"
    settings = settings.model_copy(
        update={"registry": Registry(model=name, phantom_model=f"{name}-phantom"), "retention": LIMITS}
    )
    made = [evaluated(tracker, name, 99, monkeypatch) for _ in range(5)]
    tracker.registry.set_alias(name, "champion", "4")
    monkeypatch.setattr(tracked.time, "time", lambda now=time.time: now() + 99 * DAY)
    return settings, name, made


@pytest.mark.services
def test_champion_the_one_before_and_their_runs_stay(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    versions = list(tracked.old_versions(tracker, settings, keep, STILL(settings)))
    runs = list(tracked.old_runs(tracker, settings, keep))
    assert names(versions) == {f"{name} 1", f"{name} 2"}
    assert {item.name.split("(")[1] for item, _ in runs} == {f"{made[0][1]})", f"{made[1][1]})"}
    assert {tracker.registry.version(name, number).tags["dataset.digest"] for number in ("3", "4")} == keep.digests


@pytest.mark.services
def test_a_removed_run_takes_its_files_and_models_with_it(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    old = [*tracked.old_versions(tracker, settings, keep, STILL(settings)), *tracked.old_runs(tracker, settings, keep)]
    assert all(remove() for _, remove in old)
    assert [version.version for version in tracker.registry.versions(name)] == ["3", "4", "5"]
    assert tracker.client.get_run(made[0][2]).info.lifecycle_stage == "deleted"
    assert tracker.client.list_artifacts(made[0][2], "figures") == []
    assert tracker.client.list_artifacts(made[3][2], "figures") != []
    assert tracker.registry.alias(name, "champion") == "4"
    assert names(tracked.old_versions(tracker, settings, tracked.needed(tracker, settings), STILL(settings))) == set()


@pytest.mark.services
def test_what_became_of_a_run_since_the_plan_is_seen_without_planning_all_anew(registered, tracker, monkeypatch):
    settings, _, made = registered
    keep = tracked.needed(tracker, settings).model_copy(update={"runs": frozenset()})
    plan = [remove for _, remove in tracked.old_runs(tracker, settings, keep)]  # the newest first: of versions 4 to 1
    assert len(plan) == 4
    monkeypatch.setattr(Runs, "all", None)
    tracker.client.delete_run(made[0][1])  # a person did, and may restore it
    tracker.runs.start("mine", parent=made[1][2], tags={"mlflow.source.name": "notebook"})
    assert [remove() for remove in plan] == [False] * 4  # needed, needed, with a run of a person's, deleted
    tags = tracker.client.get_run(made[0][1]).data.tags
    assert "pneumo.erased" not in tags
    tracker.client.restore_run(made[0][1])
    for _, parent, *_ in made[1:]:
        tracker.client.delete_run(parent)
    assert not plan[-1](), "it is one of the newest now"
    for _, parent, *_ in made[1:]:
        tracker.client.restore_run(parent)
    assert plan[-1]()


@pytest.mark.services
@pytest.mark.parametrize("entry", ["{}", '{"version": "1", "proof": "x"}', "no JSON"])
def test_nothing_is_planned_where_the_history_has_an_entry_that_only_a_newer_pneumo_can_read(
    registered, tracker, entry
):
    settings, name, _ = registered
    tracker.registry.set_model_tag(name, "pneumo.history.000009.abc", entry)
    with pytest.raises(TrackingError, match=r"tag pneumo.history.000009.abc, .* a newer pneumo may have written it"):
        tracked.needed(tracker, settings)


@pytest.mark.services
def test_a_version_that_a_rollback_took_up_since_the_plan_stays_with_its_run(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    old = [*tracked.old_versions(tracker, settings, keep, STILL(settings)), *tracked.old_runs(tracker, settings, keep)]
    assert len(old) == 4
    tracker.registry.set_alias(name, "champion", "1")
    assert [item.name for item in retention.apply(old, settings)] == [f"{name} 2", f"pipeline ({made[1][1]})"]
    assert tracker.registry.alias(name, "champion") == "1"
    assert tracker.client.get_run(made[0][1]).info.lifecycle_stage == "active"


@pytest.mark.services
def test_no_version_goes_while_somebody_may_be_going_back_to_it(registered, tracker):
    settings, name, _ = registered
    ((_, remove), *_) = tracked.old_versions(tracker, settings, tracked.needed(tracker, settings), STILL(settings))
    elsewhere = history.new_entry(1, history.by(Path("/another machine")), "rollback", "1", "", "4", "r", "e")
    history.append(tracker, name, elsewhere)
    with pytest.raises(PromotionError, match=r"announced version 1 .* it has not happened yet"):
        remove()
    assert tracker.registry.version(name, "1")


@pytest.mark.services
def test_the_run_that_promoted_a_version_which_another_run_had_made_stays(registered, tracker):
    settings, name, made = registered
    decisions = (("promotion", "4", made[0]), ("rejection", "2", made[1]))  # version 4 stays, version 2 goes
    for action, version, (_, parent, *_) in decisions:
        evidence = f"runs:/{parent}/promotion/decision.json"
        history.append(
            tracker, name, history.new_entry(1, history.by(Path("here")), action, version, "", "3", "r", evidence)
        )
    keep = tracked.needed(tracker, settings)
    assert names(tracked.old_runs(tracker, settings, keep)) == {f"pipeline ({made[1][1]})"}


@pytest.mark.services
@pytest.mark.parametrize("states", [("RUNNING",), ("RUNNING", "PAUSED")])
def test_no_cache_goes_while_a_training_works_or_waits_for_approval(settings, prefect, states):
    for run in prefect.api.runs((*UNDER_WAY, "PAUSED")):  # of other tests
        prefect.ask("POST", f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    for name in ("1" * 16, "2" * 16):
        aged(settings.home / "cache/train" / name, 99)
    (_, one), (_, other) = retention.plan(settings, STILL(settings))
    assert one()
    run = prefect.run(prefect.deployment("a training"), *states)
    assert not other() and (settings.home / "cache/train" / ("2" * 16)).exists()
    prefect.ask("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
    assert other()


@pytest.mark.services
def test_nothing_younger_than_the_limit_goes(registered, tracker, monkeypatch):
    settings, _, _ = registered
    monkeypatch.undo()
    keep = tracked.needed(tracker, settings)
    assert not list(tracked.old_versions(tracker, settings, keep, STILL(settings)))
    assert not list(tracked.old_runs(tracker, settings, keep))


@pytest.mark.services
def test_what_somebody_else_made_stays_and_all_that_it_rests_on(registered, tracker):
    settings, name, made = registered
    client, experiment = tracker.client, tracker.runs.experiment_id
    by_hand = client.create_run(experiment, run_name="mine").info.run_id
    client.set_terminated(by_hand)
    client.create_model_version(name, f"runs:/{by_hand}/model", by_hand)
    client.create_registered_model(f"{name}-of-a-colleague")
    source = tracker.registry.version(name, "1").source  # models:/<id of a logged model>
    client.create_model_version(f"{name}-of-a-colleague", source, model_id=source.removeprefix("models:/"))
    below = client.create_run(experiment, tags={"mlflow.parentRunId": made[1][2]}).info.run_id
    client.set_terminated(below)
    keep = tracked.needed(tracker, settings)
    assert names(tracked.old_versions(tracker, settings, keep, STILL(settings))) == {f"{name} 1", f"{name} 2"}
    assert names(tracked.old_runs(tracker, settings, keep)) == set()


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


def test_without_a_champion_no_data_version_goes(tmp_path, s3_server, monkeypatch):
    """MLflow's database may be new, or a restored one: nothing tells which data are needed."""
    place = Data(storage=f"s3://hospital/new-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    for name, images in (("a", "12"), ("b", "34")):
        pushed(tmp_path / name, images, place)
    settings = Settings(home=tmp_path, data=place, retention=Retention(days=1, runs=1))

    class Later(retention.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + retention.timedelta(days=2)

    monkeypatch.setattr(retention, "datetime", Later)
    found = [list(retention._old_data(settings, partial(frozenset, digests))) for digests in ((), ("of a champion",))]
    assert found[0] == []
    assert {item.kind for item, _ in found[1]} == {"data version", "data shard"}


@pytest.mark.services
def test_prefect_itself_takes_old_flow_runs_away(tmp_path, monkeypatch):
    """A server that pneumo starts, whose clock looks for old runs every second here instead of every hour."""
    port = free_port()
    settings = Settings(home=tmp_path, services=Services(prefect_port=port), retention=Retention(apply=True, days=10))
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "1")
    service = table(settings)[0]
    own = environment(settings) | access.own_environment("prefect", settings)
    processes.start("prefect", service.command, own, tmp_path / "services", tmp_path)
    try:
        api = PrefectApi(settings.prefect_api, timeout=60, patience=120)
        api.ensure_pool()
        prefect = Prefect(api)
        deployment = prefect.deployment("old")
        old, young = (prefect.run(deployment, "RUNNING", "COMPLETED") for _ in range(2))
        with sqlite3.connect(tmp_path / "prefect" / "prefect.db", timeout=60) as database:
            ended = database.execute("SELECT end_time FROM flow_run WHERE id = ?", (old,)).fetchone()[0]
            ancient = ended.replace(ended[:4], str(int(ended[:4]) - 1), 1)
            database.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (ancient, old))
        deadline = time.monotonic() + 60
        while api.find_run(old) is not None:
            assert time.monotonic() < deadline, "Prefect did not take the old flow run away"
            time.sleep(0.2)
        assert api.find_run(young) is not None
    finally:
        processes.stop(tmp_path / "services", "prefect")


def test_prefect_keeps_all_flow_runs_unless_house_keeping_may_delete(tmp_path):
    found = access.own_environment("prefect", Settings(home=tmp_path))
    assert not [name for name in found if "VACUUM" in name]


def test_old_versions_leave_s3_with_the_images_that_only_they_have(tmp_path, s3_server):
    place = Data(storage=f"s3://hospital/prune-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    versions = []
    for name, images in (("a", "12"), ("b", "23"), ("c", "34")):
        versions.append(pushed(tmp_path / name, images, place))
        time.sleep(1.1)  # S3 tells times in seconds
    later = retention.datetime.now(retention.UTC) + retention.timedelta(days=1)
    assert old_objects.surplus(place, {versions[0]}, newest=1, before=later - retention.timedelta(days=2)) == ([], [])
    doomed, shards = old_objects.surplus(place, {versions[0]}, newest=1, before=later)
    assert [one.name for one in doomed] == [versions[1]], "the first is needed, the last the newest"
    assert all(old_objects.remove(place, one) for one in [*doomed, *shards])
    assert set(packs.stored(place)) == {versions[0], versions[2]}
    for digest in (versions[0], versions[2]):
        packs.pull(digest, tmp_path / "elsewhere", place)


def test_what_was_written_or_came_to_be_needed_since_the_plan_stays_on_s3(tmp_path, s3_server):
    place = Data(storage=f"s3://hospital/late-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    pushed(tmp_path / "a", "12", place)
    second = pushed(tmp_path / "b", "34", place)
    later = retention.datetime.now(retention.UTC) + retention.timedelta(days=1)
    (version,), (shard,) = old_objects.surplus(place, {second}, newest=0, before=later)
    assert not old_objects.remove(place, shard), "the version that needs it is still there"
    bucket = packs.bucket_of(place)
    time.sleep(1.1)  # S3 tells times in seconds
    bucket.put(version.keys[0], bucket.get(version.keys[0]))
    assert not old_objects.remove(place, version), "it was pushed again"
    (version,), (shard,) = old_objects.surplus(place, {second}, newest=0, before=later)
    assert old_objects.remove(place, version)
    pushed(tmp_path / "c", "15", place)
    assert not old_objects.remove(place, shard), "a version came that has an image in it"
    packs.pull(packs.stored(place)[0], tmp_path / "elsewhere", place)


def test_what_trainings_elsewhere_left_goes_when_it_is_old(s3_server):
    place = Data(storage=f"s3://hospital/left-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    bucket = packs.bucket_of(place)
    for key in (bucket.key("train", "k1", "model.keras"), bucket.key("train", "k1", "files.json")):
        bucket.put(key, b"x")
    bucket.put(bucket.key("checkpoints", "k2"), b"x")
    now = retention.datetime.now(retention.UTC)
    assert old_objects.old_trainings(place, now - retention.timedelta(days=1)) == []
    doomed = old_objects.old_trainings(place, now + retention.timedelta(days=1))
    assert {one.name: one.bytes for one in doomed} == {"k1": 2, "k2": 1}
    for one in doomed:
        old_objects.remove(place, one)
    assert list(bucket.list()) == []


def pushed(root: Path, images: str, place: Data) -> str:
    """A version of files with these contents, which are no pictures, on the storage; returns its digest."""
    import hashlib

    rows = []
    for content in images:
        (root / content).parent.mkdir(parents=True, exist_ok=True)
        (root / content).write_text(content * 100)
        data = (root / content).read_bytes()
        row = {"path": content, "sha256": hashlib.sha256(data).hexdigest(), "label": "NORMAL", "subtype": "none"}
        rows.append({**row, "patient": content, "split": "train", "bytes": len(data)})
    version = keep_version(pd.DataFrame(rows), str(root), False, root, root.parent / "home")
    packs.push(version, place.model_copy(update={"storage_originals": True}))
    return version.digest
