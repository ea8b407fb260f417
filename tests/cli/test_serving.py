"""`pneumo predict` and `pneumo export` on a champion in a real registry."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.errors import PromotionError, ServiceError, TrackingError
from pneumo.tracking import Tracker

NAME = "served-by-the-command-line"


@pytest.fixture(scope="module")
def registered(mlflow_server, bundle_folder, tiny):
    tracker = Tracker(mlflow_server, "cli")
    uri = tracker.bundles.log(tracker.runs.start("run"), bundle_folder, "tiny", tiny.encoded(tiny.pictures(1)[0]))
    number = tracker.registry.register(uri, NAME)
    tracker.registry.set_alias(NAME, "champion", number)
    return f"models:/{NAME}/{number}"


@pytest.fixture
def run(mlflow_server, registered, monkeypatch):
    monkeypatch.setenv("PNEUMO_TRACKING__URI", mlflow_server)
    monkeypatch.setenv("PNEUMO_REGISTRY__MODEL", NAME)
    monkeypatch.setenv("PNEUMO_REGISTRY__PHANTOM_MODEL", "nobody")
    return lambda *words: CliRunner().invoke(app, list(map(str, words)))


@pytest.fixture
def images(tiny, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    pictures = tiny.pictures(3)
    for number, picture in enumerate(pictures):
        (folder / f"{number}.png").write_bytes(tiny.encoded(picture))
    (folder / "broken.png").write_text("no image")
    return SimpleNamespace(folder=folder, pictures=pictures)


def test_a_folder_is_scored_by_the_champion(run, images, bundle, registered, tmp_path):
    out = tmp_path / "scores" / "predictions.csv"
    done = run("predict", images.folder, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["model"], report["images"], report["errors"]) == (registered, 4, 1)
    table = pd.read_csv(out)
    assert list(table.columns) == ["path", "sha256", "probability", "label", "error", "out_of_distribution"]
    expected = bundle.score(images.pictures).probability
    assert table["probability"].dropna().tolist() == pytest.approx(list(expected), abs=1e-6)
    assert "broken.png cannot be decoded" in table["error"].dropna().item()


def test_another_version_threshold_and_format_can_be_asked_for(run, images, registered, tmp_path):
    out = tmp_path / "predictions.parquet"
    done = run("predict", images.folder, "--out", out, "--model", registered, "--threshold", 0)
    assert done.exit_code == 0, done.output
    assert f"4 images by {NAME} version" in done.stdout
    assert pd.read_parquet(out)["label"].dropna().tolist() == ["PNEUMONIA"] * 3


def test_without_a_champion_the_error_says_what_to_do(run, images):
    done = run("predict", images.folder, "--phantom")
    assert isinstance(done.exception, PromotionError)
    assert "Expected a champion of nobody, but there is none yet: promote one" in str(done.exception)


NOWHERE = ("/99", "/abc", f"/{10**22}", "/-1", "/1/2", "@nobody", "@")


@pytest.mark.parametrize(
    "uri",
    [*(f"models:/{NAME}{place}" for place in NOWHERE), f"{NAME}/1", "models:/nothing", "models:/@x", "models:/a/b/1"],
)
def test_a_version_that_is_not_there_is_named(run, images, uri):
    done = run("predict", images.folder, "--model", uri)
    assert isinstance(done.exception, TrackingError)
    assert f"there is no {uri}" in str(done.exception)


@pytest.mark.parametrize("form", ["litert", "onnx"])
def test_the_champion_is_exported_with_what_it_takes_to_use_it(run, bundle, tmp_path, form):
    if form == "onnx":
        pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    out = tmp_path / f"model.{form}"
    done = run("export", out, "--form", form, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["gap"] < 1e-4 and out.stat().st_size == pytest.approx(report["megabytes"] * 1e6)
    assert json.loads((tmp_path / "model.json").read_text())["threshold"] == bundle.spec.threshold


def test_a_folder_is_no_file_to_export_to(run, tmp_path):
    done = run("export", tmp_path)
    assert (done.exit_code, "Invalid value for 'out'" in done.output) == (2, True), done.output
    done = run("export", tmp_path / "none" / "model.tflite")
    assert isinstance(done.exception, ServiceError) and "/none is none: make it first" in str(done.exception)
