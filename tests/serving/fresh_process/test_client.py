"""A registered model's code runs in a process that knows no secret, and only if it is what was registered."""

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from pneumo.errors import TrackingError
from pneumo.serving.fresh_process.client import Served, ask
from pneumo.tracking import Tracker

# Instead of an error it tells all that it can find out about its process.
CURIOUS = """
import json
import os
import sys

import pandas as pd

from pneumo.tracking.pyfunc import PythonModel, set_model


class Curious(PythonModel):
    def predict(self, context, model_input, params=None):
        said = json.dumps([dict(os.environ), sys.orig_argv])
        return pd.DataFrame({"probability": [0.5], "label": ["NORMAL"], "error": [said], "unlike": [False]})


set_model(Curious())
"""
SECRETS = ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "PREFECT_API_AUTH_STRING", "PNEUMO_PATIENT_KEY",
           "TF_VAR_password", "NVIDIA_API_KEY")  # fmt: skip


@pytest.fixture(scope="module")
def keeper(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """A tracker whose artifacts lie in a folder that somebody else can write to."""
    found = Tracker(mlflow_server, "scoring")
    found.client.create_experiment("scoring", artifact_location=tmp_path_factory.mktemp("store").as_uri())
    return found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.new("L", (8, 8), 128).save(path)
    return path


def register(tracker: Tracker, bundle: Path, image: Path, model_file: Path, name: str) -> str:
    uri = tracker.bundles.log(tracker.runs.start("run"), bundle, "tiny", image, model_file)
    return f"models:/{name}/{tracker.registry.register(uri, name)}"


def stored(tracker: Tracker, uri: str) -> Path:
    """Where the version's files lie."""
    source = tracker.client.get_model_version(*uri.removeprefix("models:/").split("/")).source
    logged = tracker.client.get_logged_model(source.removeprefix("models:/"))
    return Path(logged.artifact_location.removeprefix("file://"))


def test_the_process_knows_neither_secrets_nor_addresses(keeper, bundle, image, tmp_path, monkeypatch):
    (tmp_path / "curious.py").write_text(CURIOUS)
    uri = register(keeper, bundle, image, tmp_path / "curious.py", "curious")
    for name in SECRETS:
        monkeypatch.setenv(name, f"planted-{name}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", keeper.uri)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    (row,) = ask(keeper, uri, [image]).rows
    environment, command = json.loads(row.error)
    assert row.out_of_distribution is False, "older versions call this column unlike"
    told = json.dumps([environment, command])
    assert "planted" not in told and keeper.uri not in told and environment["HOME"] != str(Path.home())
    assert environment["KERAS_BACKEND"] == "tensorflow"
    assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


@pytest.mark.parametrize("file", ["code/pneumo/errors.py", "code/pneumo/extra.py", "model.py"])
def test_code_that_was_changed_in_the_store_is_not_run(keeper, bundle, image, model_file, tmp_path, file):
    uri = register(keeper, bundle, image, model_file, "changed")
    with (stored(keeper, uri) / file).open("a") as code:
        code.write(f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    for load in (keeper.files.load_pyfunc, lambda uri: ask(keeper, uri)):
        with pytest.raises(TrackingError, match=rf"{uri} as they were registered, but they were changed"):
            load(uri)
    assert not (tmp_path / "ran").exists()


def test_a_version_of_other_hands_is_run_only_where_a_setting_allows_it(keeper, bundle, image, model_file):
    logged = keeper.bundles.log(keeper.runs.start("run"), bundle, "tiny", image, model_file)
    keeper.client.create_registered_model("theirs")
    number = keeper.client.create_model_version("theirs", logged, model_id=logged.removeprefix("models:/")).version
    uri = f"models:/theirs/{number}"
    with pytest.raises(
        TrackingError, match=rf"{uri} was registered by other software .* set registry.unverified to true"
    ):
        ask(keeper, uri)
    allowed = Tracker(keeper.uri, keeper.experiment, unverified=True)
    assert [row.probability for row in ask(allowed, uri, [image]).rows] == [0.7]


def test_a_pickled_model_is_refused(keeper, tmp_path):
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import PythonModel, load_model, save_model

    class Pickled(PythonModel):
        def predict(self, context, model_input, params=None):
            return model_input

    save_model(tmp_path / "model", python_model=Pickled(), pip_requirements=[])
    with pytest.raises(MlflowException, match="pickle is disallowed"):
        load_model(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("said", "words"), [("[]", "1 answers of m, got 0"), ('[{"x": 1}]', "got 0"), ("1", "got 0"), ("oh", "other text")]
)
def test_a_model_that_does_not_answer_each_image_is_refused(tmp_path, said, words):
    lines = f'{{"example": [], "from_model": true, "input": "image", "uncertain": false}}\n{said}\n'
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(lines)
    process.stdin.flush()
    model = Served("m", process, tmp_path / "log", "")
    with pytest.raises(TrackingError, match=words):
        model.score([b"image"])
    process.kill()
    process.communicate()
