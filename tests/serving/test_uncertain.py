"""The third answer, uncertain, from a model that has the limits for it, and what one without them does."""

import json
import shutil

import pytest

from pneumo.serving.fresh_process.client import loaded
from pneumo.serving.service.followed_model import FollowedModel, _Loaded
from pneumo.tracking import Tracker


@pytest.fixture
def doubting(bundle_folder, tiny, tmp_path):
    """Files of a model to which both labels are always possible."""
    bundle = shutil.copytree(bundle_folder, tmp_path / "bundle")
    spec = json.loads((bundle / "serving.json").read_text())
    limits = {"coverage": 0.95, "normal_up_to": 1.0, "pneumonia_from": 0.0}
    (bundle / "serving.json").write_text(json.dumps({**spec, "conformal": limits}))
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", "tests")
    tracker.client.create_experiment("tests", artifact_location=(tmp_path / "files").as_uri())
    uri = tracker.bundles.log(tracker.runs.start("run"), bundle, "tiny", tiny.encoded(tiny.pictures(1)[0]))
    return tracker.files.download(uri, tmp_path / "model")


def following(process, version, uncertain):
    model = FollowedModel(lambda: (None, version), uncertain)
    model._loaded = _Loaded(version, process, None)
    return model


def test_it_is_told_if_it_is_asked_and_is_a_label_only_if_the_service_is_set_so(doubting, tiny, version):
    image = tiny.encoded(tiny.pictures(1)[0])
    with loaded(doubting, "the model") as process:
        (plain,), (asked,) = process.score([image]), process.score([image], uncertain=True)
        assert (plain.uncertain, asked.uncertain) == (None, True)
        assert asked.label == plain.label in ("NORMAL", "PNEUMONIA")
        labels = [following(process, version, on).score([image], None)[1][0].label for on in (False, True)]
        assert labels == [plain.label, "UNCERTAIN"]
        assert following(process, version, True).note == ""


def test_a_version_without_limits_answers_as_always_and_says_why_it_cannot_tell(saved, tiny, version):
    image = tiny.encoded(tiny.pictures(1)[0])
    with loaded(saved, "the model") as process:
        model = following(process, version, True)
        (answer,) = model.score([image], None)[1]
        assert (answer.label, answer.uncertain) == (process.score([image])[0].label, None)
        assert "cannot tell which images are uncertain" in model.note


@pytest.fixture
def version():
    from pneumo.tracking import ModelVersion

    return ModelVersion(name="lungs", version="1", run_id="", tags={}, description="", created=0)
