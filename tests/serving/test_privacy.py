"""No patient comes into MLflow with a model, whatever kind of file its input example is made from."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pneumo.data.store.decode import decode
from pneumo.tracking import Tracker
from pneumo.tracking.bundles import input_example
from tests.leaks import hits
from tests.planted import KINDS, WORDS, picture


@pytest.fixture(scope="module")
def logged(mlflow_server, bundle_folder, tiny, tmp_path_factory):
    """A version from each kind of file, their files in one folder."""
    folder = tmp_path_factory.mktemp("private")
    tracker = Tracker(mlflow_server, "private")
    tracker.client.create_experiment("private", artifact_location=(folder / "files").as_uri())
    run_id, examples = tracker.start_run("run"), {}
    for kind, write in KINDS.items():
        file = folder.parent / f"image.{kind}"
        file.write_bytes(write(picture()))
        number = tracker.register(tracker.log_bundle(run_id, bundle_folder, kind, file), "private")
        with tracker.downloaded(f"models:/private/{number}") as files:
            examples[kind] = input_example(files), decode(file, tiny.SIZE, "squash")
    return SimpleNamespace(folder=folder, examples=examples, versions=tracker.versions("private"))


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
