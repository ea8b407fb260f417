"""The hourly check of answers, with a real MLflow; Prefect's events and logs are kept aside."""

import logging
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.serving import answer_log
from pneumo.serving.answer_log import KeptAnswer, keyed
from pneumo.serving.feedback import Feedback, FeedbackLog
from pneumo.settings import Settings
from pneumo.settings.promotion import Registry
from pneumo.settings.servers import Tracking
from pneumo.settings.unattended import Watch
from pneumo.tracking import Tracker
from tasks import watch_answers, watch_images

pytestmark = pytest.mark.services


@pytest.fixture
def site(mlflow_server, tmp_path, monkeypatch):
    """A state folder, its settings, and what was told: messages and events."""
    tracker, told = Tracker(mlflow_server, uuid.uuid4().hex), SimpleNamespace(messages=[], events=[])
    for module in (watch_answers, watch_images):
        monkeypatch.setattr(module, "tracker", lambda: tracker)
        monkeypatch.setattr(module, "get_run_logger", lambda: logging.getLogger("answers"))
    monkeypatch.setattr(watch_answers, "notify", lambda message, settings: told.messages.append(message))
    monkeypatch.setattr(watch_images, "emit_event", lambda **event: told.events.append(event))
    settings = Settings(
        home=tmp_path,
        tracking=Tracking(uri=mlflow_server, experiment=tracker.experiment),
        registry=Registry(model=f"lungs-{tracker.experiment}"),
        watch=Watch(minimum_feedback=10),
    )
    return SimpleNamespace(tracker=tracker, settings=settings, told=told)


def give_answers(settings, right, image=lambda place: f"{place:032x}"):
    """120 answers of version 3, and what a reader says of them: the same, or the contrary."""
    scores, now = np.linspace(0.02, 0.98, 120), datetime.now(UTC)
    common = {"model": settings.registry.model, "version": "3", "out_of_distribution": False, "source": "http"}
    labels = ["PNEUMONIA" if score > 0.5 else "NORMAL" for score in scores]
    rows = [
        KeptAnswer(
            id=f"{place:032x}", image=image(place), time=now - timedelta(seconds=place), probability=float(score),
            label=label, seconds=0.1, **common,
        )
        for place, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]  # fmt: skip
    answer_log.daily_log(settings.home).append(rows)
    contrary = {"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"}
    said = [label if right else contrary[label] for label in labels]
    given = [Feedback(image=row.image, label=label) for row, label in zip(rows, said, strict=True)]
    FeedbackLog(settings.home, b"secret" * 4).add(given)


def test_without_answers_nothing_is_recorded(site):
    assert watch_answers.judge.fn("/scans", False, "3", site.settings) == []
    assert site.tracker.runs.newest({"stage": "watch"}) == []


def test_answers_with_which_readers_agree_are_recorded_and_are_no_reason(site):
    give_answers(site.settings, right=True)
    assert watch_answers.judge.fn("/scans", False, "3", site.settings) == []
    (run,) = site.tracker.runs.newest({"stage": "watch"})
    assert [value for _, value in site.tracker.runs.series(run.run_id, "answers/realised_auc")] == [1.0]
    assert [value for _, value in site.tracker.runs.series(run.run_id, "answers/positive")] == [0.5]
    assert site.tracker.runs.series(run.run_id, "answers/expected_auc") and not site.told.messages
    assert "answers.html" in [file.path for file in site.tracker.client.list_artifacts(run.run_id)]


def test_images_that_the_champion_learned_from_are_in_no_figure(site, monkeypatch, tmp_path):
    """They were answered, read, added to the data set, and answered again by the version that learned them by heart."""
    secret = patient_secret(site.settings.home)
    give_answers(site.settings, right=True, image=lambda place: keyed(f"{place:064x}", secret))
    splits = ["train", "validation", "test"] * 40
    rows = pd.DataFrame({"sha256": [f"{place:064x}" for place in range(120)], "split": splits})
    rows.to_parquet(tmp_path / "champion.parquet")
    monkeypatch.setattr(watch_answers, "champion_manifest", lambda *_: tmp_path / "champion.parquet")
    watch_answers.judge.fn("/scans", False, "3", site.settings)
    (run,) = site.tracker.runs.newest({"stage": "watch"})
    assert [value for _, value in site.tracker.runs.series(run.run_id, "answers/feedback")] == [40.0]


def test_a_fall_is_a_message_and_a_request_for_a_retraining_once(site):
    give_answers(site.settings, right=False)
    (auc, *_) = watch_answers.judge.fn("/scans", False, "3", site.settings)
    assert "realised ROC AUC of version 3 is 0.000" in auc
    (event,), (message,) = site.told.events, site.told.messages
    assert (event["event"], event["payload"]["source"]) == ("pneumo.retrain.due", "/scans")
    assert message.kind == "answers" and "0.000" in message.text
    assert watch_answers.judge.fn("/scans", False, "3", site.settings) == [] and len(site.told.events) == 1
