"""No patient comes into MLflow: not with a model, and not with the images that it scores."""

import contextlib
import io
from types import SimpleNamespace
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows import predict as flow
from pneumo.data.store.decode import decode
from pneumo.errors import DataError
from pneumo.settings import load_settings
from pneumo.tracking import Tracker
from pneumo.tracking.models.bundles import input_example
from tests.leaks import hits
from tests.planted import KINDS, NAME, WORDS, picture


@pytest.fixture(scope="module")
def logged(mlflow_server, bundle_folder, tiny, tmp_path_factory):
    """A version from each kind of file, their files in one folder."""
    folder = tmp_path_factory.mktemp("private")
    tracker = Tracker(mlflow_server, "private")
    tracker.client.create_experiment("private", artifact_location=(folder / "files").as_uri())
    run_id, examples = tracker.runs.start("run"), {}
    for kind, write in KINDS.items():
        file = folder.parent / f"image.{kind}"
        file.write_bytes(write(picture()))
        number = tracker.registry.register(tracker.bundles.log(run_id, bundle_folder, kind, file), "private")
        with tracker.files.downloaded(f"models:/private/{number}") as files:
            examples[kind] = input_example(files), decode(file, tiny.SIZE, "squash")
    versions = tracker.registry.versions("private")
    return SimpleNamespace(folder=folder, examples=examples, versions=versions, tracker=tracker)


def test_no_file_of_a_version_names_the_patient(logged):
    files = [(path.name, path.read_bytes()) for path in logged.folder.rglob("*") if path.is_file()]
    assert len([name for name, _ in files if name == "serving_input_example.json"]) == len(KINDS)
    said = [("version", version.model_dump_json().encode()) for version in logged.versions]
    assert hits([*files, *said], WORDS) == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_is_the_picture_that_the_network_sees(logged, kind):
    example, expected = logged.examples[kind]
    with Image.open(io.BytesIO(example)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.fixture
def score(logged, mlflow_server, tmp_path, monkeypatch):
    """Runs the batch flow; what it needs of Prefect is left out, MLflow and the model are real."""
    monkeypatch.setenv("PNEUMO_TRACKING__URI", mlflow_server)
    monkeypatch.setenv("PNEUMO_TRACKING__EXPERIMENT", "private")
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(flow.operations, "guard", lambda: contextlib.nullcontext(load_settings()))
    monkeypatch.setattr(flow.pages, "link", lambda url: None)
    monkeypatch.setattr(flow.serving, "predict", flow.serving.predict.fn)
    monkeypatch.setattr(flow.serving, "create_progress_artifact", lambda **bar: uuid4())
    monkeypatch.setattr(flow.serving, "update_progress_artifact", lambda bar, **state: None)
    return lambda **values: flow.predict.fn(model="models:/private/1", **values)


def said_of_batches(logged):
    """All that MLflow knows of scored batches, as the only source of a search for words."""
    runs = logged.tracker.client.search_runs([logged.tracker.runs.experiment_id], "tags.stage = 'predict'")
    files = [(path.name, path.read_bytes()) for path in logged.folder.rglob("*") if path.is_file()]
    return [*files, *((run.info.run_id, str(run.to_dictionary()).encode()) for run in runs)]


def test_scored_files_that_are_called_by_their_patient_are_not_so_called_in_mlflow(score, logged, tiny, tmp_path):
    export = tmp_path / NAME
    export.mkdir()
    (export / f"{NAME}.png").write_bytes(tiny.encoded(tiny.pictures(1)[0]))
    (export / "broken.png").write_text("no image")
    score(paths=[str(export)], out=str(export / "scores.csv"))
    own, said = pd.read_csv(export / "scores.csv"), said_of_batches(logged)
    assert own["path"].str.contains(NAME, regex=False).all() and NAME in own["error"].dropna().item()
    assert hits(said, WORDS) == []
    kept = pd.read_csv(io.BytesIO(dict(said)["predictions.csv"]))
    assert kept["sha256"].tolist() == own["sha256"].tolist()
    np.testing.assert_allclose(kept["probability"], own["probability"])


def test_a_batch_that_fails_quotes_no_patient_in_mlflow(score, logged, tmp_path):
    with pytest.raises(DataError, match=r"Zwetschgenbaum.*does not exist"):
        score(paths=[str(tmp_path / NAME)])
    assert hits(said_of_batches(logged), WORDS) == []
    failed = logged.tracker.runs.newest({"stage": "predict"}, "FAILED")
    assert failed[0].tags["reason"] == "DataError, see the flow run"
