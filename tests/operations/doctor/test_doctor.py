import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

from pneumo.errors import DataError, ServiceError
from pneumo.operations import access, doctor, embedded, estimate
from pneumo.operations.doctor import machine, servers
from pneumo.operations.doctor.row import Row
from pneumo.settings import Settings
from pneumo.settings.data import Data
from pneumo.settings.servers import Services
from pneumo.tracking import store

PROJECT = Path(__file__).parents[3]


def test_a_check_that_raises_is_a_failed_row_with_its_advice(tmp_path):
    def broken(settings):
        raise DataError("Expected a bucket, but there is none: make one.")

    (row,) = doctor.examine(Settings(home=tmp_path), [("S3", broken)])
    assert row == Row(what="S3", state="failed", found="Expected a bucket, but there is none", advice="make one.")


def test_failed_rows_stop_a_run_and_warnings_do_not():
    warning = Row(what="GPU", state="warning", found="none", advice="buy one")
    doctor.require([warning])
    with pytest.raises(ServiceError, match=r"clock: it is 1970 \(set it\)"):
        doctor.require([warning, Row(what="clock", state="failed", found="it is 1970", advice="set it")])


def test_the_installed_packages_are_what_pneumo_asks_for():
    assert machine.packages(Settings()).state == "ok"


def test_code_that_is_only_copied_is_told_in_words(monkeypatch):
    monkeypatch.setattr(machine.metadata, "requires", Mock(side_effect=machine.metadata.PackageNotFoundError("pneumo")))
    row = machine.packages(Settings())
    assert (row.state, "not installed as a package" in row.found) == ("failed", True)


def test_a_package_of_another_version_is_named(monkeypatch):
    monkeypatch.setattr(machine.metadata, "requires", lambda name: ["numpy<2", "no-such-package>=1"])
    row = machine.packages(Settings())
    assert row.state == "failed"
    assert "numpy<2 is required, 2." in row.found
    assert "no-such-package>=1 is required, none is installed" in row.found


def test_a_full_disk_is_seen_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "free_bytes", lambda home: 300 * estimate.MIB)
    assert machine.disk(Settings(home=tmp_path)).state == "failed"
    with pytest.raises(ServiceError, match=r"Expected 1\.0 GiB free for this run in .*but there are 0\.3"):
        doctor.require_space(estimate.GIB, tmp_path)


def test_space_is_asked_of_the_disk_where_the_state_folder_is_going_to_be(tmp_path):
    assert machine.free_bytes(tmp_path / "not" / "there" / "yet") > 0


def test_more_images_larger_pictures_and_more_backbones_need_more():
    small = estimate.disk(100, 96, ["MobileNet"])
    assert small < estimate.disk(100, 224, ["MobileNet"]) < estimate.disk(1000, 224, ["MobileNet"])
    assert small < estimate.disk(100, 96, ["MobileNet", "SomethingNew"])
    assert estimate.memory(96) < estimate.memory(224)


@pytest.mark.parametrize(
    "names", [["mobilenet_1_0_224_tf_no_top.h5"], ["mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"]]
)
def test_weights_that_keras_has_not_fetched_are_named(tmp_path, monkeypatch, names):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in names:
        (tmp_path / "models").mkdir(exist_ok=True)
        (tmp_path / "models" / name).touch()
    row = machine.weights(Settings())
    assert ("MobileNet," in row.found) == ("mobilenet_v2" in names[0])
    assert "MobileNetV3Small" in row.found


def test_a_clock_that_is_off_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "_skew", lambda url: -100.0)
    row = machine.clock(Settings())
    assert (row.state, row.found) == ("warning", "-100 s off a server's")


@pytest.mark.parametrize("name", ["plain", "a #1", "50% done", "why?"])
def test_an_old_schema_is_told_with_the_command_that_renews_it(tmp_path, name):
    tmp_path = tmp_path / name
    tmp_path.mkdir()
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0a8213491aaa')")
    row = servers.mlflow_database(Settings(home=tmp_path))
    assert row.state == "failed"
    assert f"mlflow db upgrade sqlite:///{database}" in row.advice


def test_a_flow_run_leaves_a_database_elsewhere_to_its_server(tmp_path, monkeypatch):
    monkeypatch.setenv(access.DATABASE, "postgresql://mlflow:secret@db/mlflow")
    flow_run = embedded.environment(Settings(home=tmp_path))
    assert "secret" not in str(flow_run.values())
    for name in (access.DATABASE, access.ELSEWHERE):
        monkeypatch.delenv(name, raising=False)
        if name in flow_run:
            monkeypatch.setenv(name, flow_run[name])
    assert servers.mlflow_database(Settings(home=tmp_path)).state == "ok"


def test_what_is_no_database_is_a_failed_row(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database")
    (row,) = doctor.examine(Settings(home=tmp_path), [("MLflow database", servers.mlflow_database)])
    assert row.state == "failed"


def test_no_server_at_all_is_told_in_seconds(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = Settings(home=tmp_path, services=Services(prefect_port=9, mlflow_port=9))
    rows = {row.what: row for row in doctor.examine(settings)}
    failed = {"Prefect server", "worker", "deployments", "MLflow server", "MLflow database", "artifacts through MLflow"}
    assert {name for name, row in rows.items() if row.state == "failed"} == failed
    assert all(row.advice for row in rows.values() if row.state != "ok")


@pytest.mark.services
def test_real_servers_are_well(settings, monkeypatch, tmp_path):
    monkeypatch.setenv(access.ARTIFACTS, str(tmp_path / "files"))
    rows = {row.what: row for row in doctor.examine(settings)}
    assert rows["Prefect server"].state == "ok"
    assert rows["worker"].found == "none is online: runs would wait"
    assert "retrain" in rows["deployments"].found
    for name in ("MLflow server", "MLflow database", "artifacts through MLflow", "artifacts directly", "clock"):
        assert rows[name].state == "ok", rows[name]


def test_a_host_name_that_mlflow_refuses_is_told_apart_from_silence(monkeypatch):
    monkeypatch.setattr(servers, "complaint", lambda uri: "it answered with HTTP status 403")
    assert "--allowed-hosts" in servers.mlflow_server(Settings()).advice
    monkeypatch.setattr(servers, "complaint", lambda uri: "it does not answer")
    assert "pneumo up" in servers.mlflow_server(Settings()).advice


@pytest.mark.services
def test_an_artifact_comes_back_through_the_server(mlflow_server):
    assert store.artifact_round_trip(mlflow_server, "Default") == ("", "")
    assert "does not answer" in store.artifact_round_trip("http://127.0.0.1:9", "Default")[0]


@pytest.mark.services
def test_where_nothing_can_be_deleted_doctors_leave_one_file_in_all(mlflow_server, monkeypatch):
    with monkeypatch.context() as patch:
        refused = partial(httpx.Response, 403)
        patch.setattr(httpx.Client, "delete", lambda _, place: refused(request=httpx.Request("DELETE", place)))
        wrongs = [store.artifact_round_trip(mlflow_server, "none yet") for _ in range(3)]
    assert {(wrong, left.startswith("DELETE gives HTTP status 403")) for wrong, left in wrongs} == {("", True)}
    listed = httpx.get(f"{mlflow_server}{store.ROUTE}").json()["files"]
    assert [file["path"] for file in listed if "doctor" in file["path"]] == [store.PROBE]
    assert store.artifact_round_trip(mlflow_server, "none yet") == ("", "")


@pytest.mark.services
def test_many_doctors_at_once_do_not_find_fault_with_each_other(mlflow_server):
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(store.artifact_round_trip, [mlflow_server] * 12, ["none yet"] * 12)) == {("", "")}


@pytest.mark.services
def test_a_file_that_another_doctor_deletes_at_the_same_moment_is_deleted(mlflow_server, monkeypatch):
    """MLflow then fails to delete it once more, and answers 500."""
    real = httpx.Client.delete

    def too_late(client: httpx.Client, place: str) -> httpx.Response:
        real(client, place)
        return httpx.Response(500, request=httpx.Request("DELETE", place))

    monkeypatch.setattr(httpx.Client, "delete", too_late)
    assert store.artifact_round_trip(mlflow_server, "none yet") == ("", "")


def test_s3_is_written_read_and_deleted(s3_server):
    import boto3

    settings = Settings(data=Data(storage="s3://hospital/doctor", s3_endpoint=s3_server))
    assert servers.data_storage(settings).state == "ok"
    left = boto3.client("s3", endpoint_url=s3_server).list_objects_v2(Bucket="hospital", Prefix="doctor")
    assert left["KeyCount"] == 0


def test_a_bucket_that_is_not_there_is_told(s3_server):
    settings = Settings(data=Data(storage="s3://nowhere/x", s3_endpoint=s3_server))
    (row,) = doctor.examine(settings, [("S3", servers.data_storage)])
    assert row.state == "failed"
    assert "check bucket and prefix" in row.advice


@pytest.mark.services
def test_results_of_prefect_are_looked_for_where_the_data_are(s3_server, prefect_server, monkeypatch):
    import boto3

    here = Settings(data=Data(storage="s3://hospital/doctor", s3_endpoint=s3_server))
    assert "not set" in servers.prefect_results(here).found
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK", "s3-bucket/doctor")
    assert servers.prefect_results(here).advice == "run `pneumo up`"
    subprocess.run(
        [sys.executable, "-m", "tasks.support.results", "doctor", "hospital", "results"], cwd=PROJECT, check=True
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    assert servers.prefect_results(here).state == "ok"
    assert boto3.client("s3").list_objects_v2(Bucket="hospital", Prefix="results")["KeyCount"] == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    elsewhere = servers.prefect_results(here)
    assert elsewhere.state == "failed" and "AWS_ENDPOINT_URL_S3" in elsewhere.advice


def test_the_command_prints_json_and_tells_by_its_exit_code(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PNEUMO_HOME": str(tmp_path), "PNEUMO_SERVICES__PREFECT_PORT": "9"}
    environment |= {"PNEUMO_SERVICES__MLFLOW_PORT": "9"}
    command = [sys.executable, "-X", "importtime", "-m", "pneumo.cli", "doctor", "--json"]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1
    rows = json.loads(done.stdout)
    assert {"what", "state", "found", "advice"} == set(rows[0])
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"tensorflow", "keras", "mlflow", "prefect"} & imported
