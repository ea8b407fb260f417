"""A backup and its way back, on databases made here; tests/pipeline/test_backup.py has that of a real run."""

import shutil
import sqlite3
from contextlib import closing

import boto3
import pytest

from pneumo.errors import ServiceError, SettingsError
from pneumo.operations import access, backup
from pneumo.operations.backup import databases
from pneumo.settings import Settings
from pneumo.settings.servers import Tracking


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    for name in (*databases.PREFECT_ADDRESSES, access.DATABASE, access.ARTIFACTS, access.ELSEWHERE, "PNEUMO_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.yaml").write_text("accept:\n  half_width: 0.1\n")


def database(path, word):
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (word)")
        connection.execute("INSERT INTO t VALUES (?)", (word,))
        connection.commit()


def words(path):
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT word FROM t")]


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def settings(tmp_path):
    home = tmp_path / "home"
    database(home / "mlflow.db", "champion")
    database(home / "prefect" / "prefect.db", "flow run")
    put(home / "artifacts" / "1" / "model.keras", "weights")
    put(home / "patient.key", "0123456789abcdef")
    put(home / "cache" / "split" / "ab" / "manifest", "rows")
    put(home / "cache" / "preprocess" / "cd" / "pixels", "many")
    return Settings(home=home)


def elsewhere(tmp_path):
    return Settings(home=tmp_path / "new")


def test_all_that_matters_comes_back_into_an_empty_place(settings, tmp_path):
    with closing(sqlite3.connect(settings.home / "mlflow.db")) as writer:  # a server at work
        writer.execute("INSERT INTO t VALUES ('not committed')")
        backup.backup(settings, tmp_path / "copy")
    backup.restore(elsewhere(tmp_path), tmp_path / "copy")
    new = tmp_path / "new"
    assert words(new / "mlflow.db") == ["champion"] and words(new / "prefect" / "prefect.db") == ["flow run"]
    kept = ("artifacts/1/model.keras", "patient.key", "cache/split/ab/manifest")
    assert all((new / name).read_bytes() == (settings.home / name).read_bytes() for name in kept)
    assert not (new / "cache" / "preprocess").exists()
    assert "half_width" in (tmp_path / "copy" / "settings" / "mlflow.yaml").read_text()
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o700
    assert (new / "mlflow.db").stat().st_mode & 0o777 == 0o600


def test_answers_of_a_service_elsewhere_come_back_to_its_place_beside_what_it_keeps_there(settings, tmp_path):
    service, new = tmp_path / "service", tmp_path / "new service"
    put(service / "answers" / "2026-11-26.jsonl", "what it said")
    put(service / "cache" / "champion", "fetched again")
    put(new / "cache" / "champion", "another one")
    backup.backup(settings, tmp_path / "copy", service)
    with pytest.raises(SettingsError, match=r"name it by --service"):
        backup.restore(elsewhere(tmp_path), tmp_path / "copy")
    backup.restore(elsewhere(tmp_path), tmp_path / "copy", new)
    assert (new / "answers" / "2026-11-26.jsonl").read_text() == "what it said"
    assert (new / "cache" / "champion").read_text() == "another one"
    shutil.rmtree(tmp_path / "new")
    with pytest.raises(ServiceError, match=r"no answers of a service yet, but .*answers is there"):
        backup.restore(elsewhere(tmp_path), tmp_path / "copy", new)


def test_a_day_that_is_packed_while_it_is_copied_is_not_lost(settings, tmp_path, monkeypatch):
    lines = settings.home / "feedback" / "2026-11-26.0a.jsonl"
    put(lines, "what readers said")
    packed, copy = lines.with_name("2026-11-26.parquet"), shutil.copy2

    def copied(file, place):
        if file == lines and file.exists():  # at this moment `watch` packs the day
            lines.rename(packed)
        return copy(file, place)

    monkeypatch.setattr(shutil, "copy2", copied)
    found = backup.backup(settings, tmp_path / "backup")
    assert [name for name in found.files if "feedback" in name] == ["home/feedback/2026-11-26.parquet"]


def test_a_copy_that_is_interrupted_leaves_nothing(settings, tmp_path):
    (settings.home / "prefect" / "prefect.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ServiceError, match=r"prefect.db, but it cannot be read"):
        backup.backup(settings, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "mlflow.yaml"]


@pytest.mark.parametrize("harm", ["change", "remove", "add"])
def test_a_backup_that_is_not_as_it_was_written_is_refused_and_nothing_is_restored(settings, tmp_path, harm):
    backup.backup(settings, tmp_path / "copy")
    file = tmp_path / "copy" / "artifacts" / "1" / "model.keras"
    {"change": lambda: file.write_text("weighty"), "remove": file.unlink, "add": lambda: put(file.with_name("x"), "")}[
        harm
    ]()
    with pytest.raises(ServiceError, match=r"1 differ, first artifacts/1/"):
        backup.restore(elsewhere(tmp_path), tmp_path / "copy")
    assert not (tmp_path / "new").exists()


def test_neither_a_full_folder_nor_a_full_home_is_written_over(settings, tmp_path):
    put(tmp_path / "copy" / "of mine", "")
    with pytest.raises(ServiceError, match="Expected a new folder"):
        backup.backup(settings, tmp_path / "copy")
    backup.backup(settings, tmp_path / "other")
    with pytest.raises(ServiceError, match="Expected an empty state folder"):
        backup.restore(settings, tmp_path / "other")


def test_what_is_no_backup_is_refused(settings, tmp_path):
    with pytest.raises(ServiceError, match=r"found no backup.json"):
        backup.restore(elsewhere(tmp_path), tmp_path)


def test_artifacts_are_put_nowhere_where_their_place_is_not_known(settings, tmp_path, monkeypatch):
    backup.backup(settings, tmp_path / "copy")
    monkeypatch.setenv(access.DATABASE, f"sqlite:///{tmp_path}/there.db")
    monkeypatch.chdir(tmp_path / "copy")
    away = elsewhere(tmp_path).model_copy(update={"tracking": Tracking(uri="http://mlflow.example:5000")})
    with pytest.raises(SettingsError, match="where MLflow keeps artifacts"):
        backup.restore(away, tmp_path / "copy")
    assert not (tmp_path / "copy" / "1").exists() and not (tmp_path / "new").exists()


def test_a_key_that_is_a_link_is_kept_as_what_it_is(settings, tmp_path):
    (settings.home / "patient.key").rename(tmp_path / "secret")
    (settings.home / "patient.key").symlink_to(tmp_path / "secret")
    backup.backup(settings, tmp_path / "copy")
    assert (tmp_path / "copy" / "home" / "patient.key").read_text() == "0123456789abcdef"
    assert not (tmp_path / "copy" / "home" / "patient.key").is_symlink()


def test_a_link_in_the_place_of_a_file_is_noticed(settings, tmp_path):
    backup.backup(settings, tmp_path / "copy")
    key = tmp_path / "copy" / "home" / "patient.key"
    key.rename(tmp_path / "key")
    key.symlink_to(tmp_path / "key")
    with pytest.raises(ServiceError, match=r"1 differ, first home/patient.key"):
        backup.restore(elsewhere(tmp_path), tmp_path / "copy")


@pytest.mark.parametrize("place", ["artifacts/copy", "runs/copy"])
def test_no_backup_is_made_inside_what_it_copies(settings, place):
    with pytest.raises(ServiceError, match="Expected a folder outside"):
        backup.backup(settings, settings.home / place)
    assert not (settings.home / place).exists()


def test_places_outside_the_state_folder_come_back_where_they_are_empty(settings, tmp_path, monkeypatch):
    backup.backup(settings, tmp_path / "copy")
    monkeypatch.setenv(access.DATABASE, f"sqlite:///{tmp_path / 'disk' / 'mlflow.db'}")
    monkeypatch.setenv(access.ARTIFACTS, str(tmp_path / "disk" / "artifacts"))
    backup.restore(elsewhere(tmp_path), tmp_path / "copy")
    assert words(tmp_path / "disk" / "mlflow.db") == ["champion"]
    assert (tmp_path / "disk" / "artifacts" / "1" / "model.keras").read_text() == "weights"
    with pytest.raises(ServiceError, match=r"Expected an empty folder for artifacts"):
        backup.restore(Settings(home=tmp_path / "newer"), tmp_path / "copy")
    monkeypatch.setenv(access.ARTIFACTS, str(tmp_path / "disk" / "others"))
    with pytest.raises(ServiceError, match=r"Expected no database of mlflow yet"):
        backup.restore(Settings(home=tmp_path / "newer"), tmp_path / "copy")


@pytest.mark.parametrize("option", ["sslmode=verify-full", "ssl=verify-full"])
def test_encryption_that_an_address_demands_is_demanded_of_postgres_programs(option):
    told = databases._variables(f"postgresql://mlflow:x@db/runs?{option}&sslrootcert=/etc/ca.pem")
    assert (told["PGSSLMODE"], told["PGSSLROOTCERT"]) == ("verify-full", "/etc/ca.pem")


def test_artifacts_on_s3_are_listed_and_looked_for(settings, tmp_path, s3_server, monkeypatch):
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_bucket(Bucket="kept")
    client.put_object(Bucket="kept", Key="mlflow/1/model.keras", Body=b"weights")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    monkeypatch.setenv(access.ARTIFACTS, "s3://kept/mlflow")
    found = backup.backup(settings, tmp_path / "copy")
    assert [item.key for item in found.objects] == ["1/model.keras"] and not (tmp_path / "copy" / "artifacts").exists()
    backup.restore(elsewhere(tmp_path), tmp_path / "copy")
    client.delete_object(Bucket="kept", Key="mlflow/1/model.keras")
    with pytest.raises(ServiceError, match=r"1 are missing or differ, first 1/model.keras"):
        backup.restore(Settings(home=tmp_path / "newer"), tmp_path / "copy")


def test_a_password_goes_to_postgres_by_the_environment(settings, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "pg_dump"
    put(program, '#!/bin/sh\nprintf "%s|%s|%s" "$*" "$PGPASSWORD" "$PGHOST:$PGPORT:$PGUSER:$PGDATABASE" >said\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv(access.DATABASE, "postgresql+psycopg://mlflow:se%2Fcret@db:5433/runs")
    _, mlflow = databases.find_databases(settings)
    mlflow.save(tmp_path)
    options, password, place = (tmp_path / "said").read_text().split("|")
    assert (password, place) == ("se/cret", "db:5433:mlflow:runs") and "cret" not in options


def test_servers_elsewhere_are_not_guessed(tmp_path):
    there = Settings(home=tmp_path / "home", tracking={"uri": "http://mlflow:5000"})
    with pytest.raises(SettingsError, match=r"run this there"):
        backup.backup(there, tmp_path / "copy")


def test_a_backup_that_the_disk_refuses_is_told_in_one_sentence_and_leaves_nothing(tmp_path, settings, monkeypatch):
    put(tmp_path / "file", "")
    with pytest.raises(ServiceError, match=r"to write a backup in \S+, but (Not a directory|File exists): free space"):
        backup.backup(settings, tmp_path / "file" / "monday")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup.contents, "copied", full)
    before = set(tmp_path.iterdir())
    with pytest.raises(ServiceError, match="but No space left on device: free space, check rights, or name another"):
        backup.backup(settings, tmp_path / "monday")
    assert set(tmp_path.iterdir()) == before
