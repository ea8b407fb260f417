"""The hourly check of a source, with a real MLflow; Prefect's events and logs are kept aside."""

import logging
import uuid
from types import SimpleNamespace

import pytest

from pneumo.monitoring.drift import Drift
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from tasks import watch_images

pytestmark = pytest.mark.services


def test_a_message_of_drift_leaves_out_the_source_which_its_link_names(mlflow_server, monkeypatch):
    tracker, told = Tracker(mlflow_server, uuid.uuid4().hex), SimpleNamespace(messages=[], events=[])
    monkeypatch.setattr(watch_images, "tracker", lambda: tracker)
    monkeypatch.setattr(watch_images, "get_run_logger", lambda: logging.getLogger("watch"))
    monkeypatch.setattr(watch_images, "notify", lambda message, settings: told.messages.append(message))
    monkeypatch.setattr(watch_images, "emit_event", lambda **event: told.events.append(event))
    found = Drift(champion="3", images=200, known=100, new=100, figures={"size_drift": 0.4})
    source = "/mnt/ward7.hospital.example/Mustermann_Erika"
    assert watch_images.record.fn(found, source, Settings())[-1] == "size drift is 0.40, above 0.25"
    (message,) = told.messages
    assert message.title == "images have drifted"
    assert not any(word in str(message) for word in ("ward7", "Mustermann"))
    run_id = message.link.rpartition("/")[2].partition("?")[0]
    assert tracker.runs.tags(run_id)["data.source"] == source


def test_a_source_keeps_its_series_however_many_others_are_watched(mlflow_server, monkeypatch):
    """A new series would forget what was asked for, and ask for the same retraining every hour."""
    tracker = Tracker(mlflow_server, uuid.uuid4().hex)
    monkeypatch.setattr(watch_images, "tracker", lambda: tracker)
    first = watch_images.series("/scans")
    for number in range(101):
        tags = {"stage": "watch", "data.source": f"/others/{number}"}
        tracker.runs.finish(tracker.runs.start("watch", tags=tags))
    assert watch_images.series("/scans") == first
