"""The third answer, uncertain, from a model that has the limits for it, and what one without them does."""

import json
import shutil

import pytest
from starlette.testclient import TestClient

from pneumo.serving import answer_log
from pneumo.serving.fresh_process.client import loaded
from pneumo.serving.service.api import create_app
from pneumo.serving.service.followed_model import FollowedModel, _Loaded
from pneumo.serving.service.record import ServiceRecord
from pneumo.settings.servers import Serve
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


def answered(model, image, home):
    """The label that a client gets, and the one that is kept, by which realised figures are made."""
    record = ServiceRecord(home, b"secret" * 4, lambda *_, **__: None)
    app = create_app(model, Serve(), None, ["testserver"], record)
    reply = TestClient(app).post("/v1/predict", content=image, headers={"Content-Type": "image/png"})
    return reply.json()["answers"][0]["label"], answer_log.read(home)[0]["label"][0]


def test_it_is_told_if_it_is_asked_and_a_service_that_is_set_so_tells_clients_alone(doubting, tiny, version, tmp_path):
    image = tiny.encoded(tiny.pictures(1)[0])
    with loaded(doubting, "the model") as process:
        (plain,), (asked,) = process.score([image]), process.score([image], uncertain=True)
        assert (plain.uncertain, asked.uncertain) == (None, True)
        assert asked.label == plain.label in ("NORMAL", "PNEUMONIA")
        labels = [answered(following(process, version, on), image, tmp_path / str(on)) for on in (False, True)]
        assert labels == [(plain.label, plain.label), ("UNCERTAIN", plain.label)]
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
