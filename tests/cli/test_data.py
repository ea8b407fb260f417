"""`pneumo data` and `pneumo versions`, without any server but the storage."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from pneumo import cli
from pneumo.cli import app
from pneumo.errors import DataError, GateFailedError, SettingsError


@pytest.fixture
def run(home, monkeypatch):
    monkeypatch.setenv("PNEUMO_HOME", str(home))
    return lambda *words: CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def storage(s3_server, monkeypatch, request):
    """A place of its own on the storage."""
    place = f"s3://hospital/cli/{request.node.name}"
    monkeypatch.setenv("PNEUMO_DATA__STORAGE", place)
    monkeypatch.setenv("PNEUMO_DATA__S3_ENDPOINT", s3_server)
    return place


def prepared(done) -> SimpleNamespace:
    assert done.exit_code == 0, done.output
    return SimpleNamespace(**json.loads(done.stdout))


def test_data_is_brought_in_and_its_digest_printed_last(run, chest_set):
    done = run("data", chest_set)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"48 images from {chest_set}"
    assert "warning patients per class: expected at least 50 patients in each class, found 8" in lines
    digest = prepared(run("data", chest_set, "--json")).version["digest"]
    assert lines[-1].split() == ["version", digest]


def test_the_report_and_the_data_docs_are_where_it_says(run, chest_set):
    found = prepared(run("data", chest_set, "--json"))
    assert "What is in this data set" in Path(found.report).read_text()
    assert Path(found.gate["docs"], "index.html").is_file()


def test_what_was_left_out_is_counted_by_reason(run, make, chest_set, monkeypatch):
    monkeypatch.setenv("PNEUMO_GATE__QUARANTINE_LIMIT", "0.1")
    make.write(chest_set / "train/NORMAL/notes.txt", b"x")
    make.write(chest_set / "train/NORMAL/IM-0042-0001.jpeg", b"broken")
    shown = run("data", chest_set).stdout
    assert "1 left out: not an image file" in shown
    assert "left out   1 images, each with its reason: " in shown


def test_a_gate_that_stops_shows_why_and_makes_no_version(run, make, chest_set):
    make.write(chest_set / "test/NORMAL/IM-0002-0009.jpeg", make.encoded(make.picture(5)))
    done = run("data", chest_set, "--json")
    assert isinstance(done.exception, GateFailedError)  # `main` makes it one sentence and exit code 1
    found = json.loads(done.stdout)
    assert (found["version"], found["report"], found["gate"]["passed"]) == (None, None, False)
    assert json.loads(run("versions", "--json").stdout) == []


def test_an_error_shows_brackets_of_a_path_as_they_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pneumo", "data", "/scans/[old]/[/x]"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "error: Expected a folder" in (told := capsys.readouterr().err) and "'/scans/[old]/[/x]' does not" in told


def test_a_source_that_is_not_there_and_a_setting_that_is_not_known(run, tmp_path, monkeypatch):
    assert isinstance(run("data", tmp_path / "nowhere").exception, DataError)
    monkeypatch.setenv("PNEUMO_DATA__COLUMNS", '{"image": "file"}')
    assert isinstance(run("data", tmp_path).exception, SettingsError)


@pytest.mark.parametrize("source", ["", "x" * 5000])
def test_what_cannot_be_a_path_is_a_source_that_is_not_there(run, source):
    """An empty one was the working folder; of a long one the state folder was said to be full."""
    done = run("data", source)
    assert isinstance(done.exception, DataError)
    assert "Expected a folder, an archive, a label file or one of" in str(done.exception)


def test_columns_of_a_label_file_are_named_in_the_settings(run, make, tmp_path, monkeypatch):
    rows = ["file,finding,who"]
    for number in range(24):
        make.write(tmp_path / f"scans/{number}.png", make.encoded(make.picture(number), "PNG"))
        rows.append(f"{number}.png,{number % 2},p{number // 4 * 2 + number % 2}")
    make.write(tmp_path / "scans/labels.csv", "\n".join(rows).encode())
    assert "data.columns in mlflow.yaml" in str(run("data", tmp_path / "scans").exception)
    monkeypatch.setenv("PNEUMO_DATA__COLUMNS", '{"path": "file", "label": "finding", "patient": "who"}')
    assert prepared(run("data", tmp_path / "scans", "--json")).version["images"] == 24


def test_versions_are_listed_and_compared(run, make, chest_set):
    assert "no version yet" in run("versions").stdout
    before = prepared(run("data", chest_set, "--json")).version["digest"]
    make.write(chest_set / "train/NORMAL/IM-0500-0001.jpeg", make.encoded(make.picture(500)))
    after = prepared(run("data", chest_set, "--json")).version["digest"]
    listed = run("versions").stdout
    assert listed.index(before[:12]) < listed.index(after[:12])
    shown = run("versions", "--compare", before[:8], after[:8])
    assert "train/NORMAL/IM-0500-0001.jpeg" in shown.stdout
    assert "pneumonia  66.7% of the images then, 65.3% now" in shown.stdout
    found = json.loads(run("versions", "--compare", before, after, "--json").stdout)
    assert found["added"] == ["train/NORMAL/IM-0500-0001.jpeg"]
    assert isinstance(run("versions", "--compare", before, "zzz").exception, DataError)


def test_a_version_goes_to_the_storage_once_and_elsewhere_its_digest_is_enough(
    run, chest_set, storage, tmp_path, monkeypatch
):
    here = prepared(run("data", chest_set, "--json"))
    assert here.sent == 48
    assert prepared(run("data", chest_set, "--json")).sent == 0
    assert f"storage    {storage}: was there" in run("data", chest_set).stdout
    chest_set.rename(tmp_path / "gone")
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path / "elsewhere"))
    there = prepared(run("data", f"version:{here.version['digest'][:12]}", "--json"))
    assert there.version["digest"] == here.version["digest"]
    assert there.version["source"] == str(chest_set)
    assert there.version["root"].startswith(str(tmp_path / "elsewhere"))


def test_a_version_whose_images_changed_is_not_taken_for_it(run, make, chest_set):
    digest = prepared(run("data", chest_set, "--json")).version["digest"]
    make.write(chest_set / "train/NORMAL/IM-0002-0000.jpeg", make.encoded(make.picture(77)))
    failed = run("data", f"version:{digest}")
    assert isinstance(failed.exception, DataError)
    assert f"Expected version {digest} again, but its images in {chest_set} give" in str(failed.exception)
