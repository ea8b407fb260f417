"""A month of a hospital in minutes, with the real parts: a new device, late feedback, an alert, a better champion."""

import json
import os
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pneumo.serving import answer_log
from tests.month.hospital import NEW, OLD, label_images
from tests.month.picture import photographed
from tests.month.play import A_DAY, DAYS, LATE, Month, until

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(3600)]
CHANGE, ALERT, DECISION = 14, 19, 24  # days on whose morning the device is new, that is noticed, and decided on
# Which figure falls first depends on the recipe.
FALLEN = re.compile(r"realised (sensitivity|specificity|ROC AUC) of version 1 is 0\.\d+ \(.*\), below 0\.\d")
MODEL, CHARTS = "pneumonia-classifier", 5
SMALL = {"backbones": ["MobileNet:0.25"], "weights": "none", "image_size": 64, "epochs": 20, "learning_rate": 0.003}


@pytest.fixture
def month(tmp_path):
    month = Month(tmp_path)
    try:
        month.run("pneumo", "up")
        yield month
    finally:
        month.run("pneumo", "down")
        month.webhook.shutdown()


def test_a_new_device_is_noticed_and_a_champion_that_knows_it_takes_over_on_evidence(month, browser):
    first_champion(month)
    with month.serving():
        month.days(0, CHANGE, OLD)
        nothing_to_tell(month)
        month.days(CHANGE, ALERT, NEW)
        alert_with_nothing_new_to_learn(month)
        retrained_on_new_labels(month)
        month.days(ALERT, DECISION, NEW)
        promoted_on_evidence_of_the_shadow(month)
        month.days(DECISION, DAYS + LATE, NEW)
        recovered(month)
    told(month, browser)


def first_champion(month):
    label_images(month.home, month.source, OLD)
    run = month.flow("pneumonia/train", data=str(month.source), **SMALL)
    assert run["state_type"] == "PAUSED", run["state"]
    month.run("pneumo", "approve", "--reason", "the first one")
    assert month.settled(run["id"], "PAUSED")["state_type"] == "COMPLETED"
    assert champion(month) == "1"


def nothing_to_tell(month):
    assert watched(month).endswith("No reason to train again.")
    assert not month.webhook.of("answers")


def alert_with_nothing_new_to_learn(month):
    """Realised figures have fallen; the images alone, and what is expected without labels, did not tell."""
    said = watched(month)
    assert FALLEN.search(said), said
    assert "new to champion" not in said and "out-of-distribution" not in said
    (alert,) = month.webhook.of("answers")
    assert alert["text"].startswith("pneumo: answers have changed\n") and FALLEN.search(alert["text"])
    found_nothing = month.retraining()["state"]["message"]
    assert found_nothing.startswith("Nothing to do: data, parameters, settings and code are those of ")


def retrained_on_new_labels(month):
    """With labelled images of the new device there is a cause; a person wants to see the new version as a shadow."""
    before = month.retrainings()
    label_images(month.home, month.source, NEW)
    assert "are new to champion 1" in watched(month)
    run = month.retraining(before)
    assert run["state_type"] == "PAUSED", run["state"]
    assert "training again, because of: the data set" in month.log_of(run["id"])
    month.run("pneumo", "approve", "--reject", "--reason", "first as a shadow")
    assert month.settled(run["id"], "PAUSED")["state_type"] == "COMPLETED"
    assert champion(month) == "1" and champion(month, "challenger") == "2"
    until(lambda: "version 2 scores" in month.ready().get("shadow", ""), "the shadow")


def promoted_on_evidence_of_the_shadow(month):
    run = month.flow("pneumonia/retrain", force=True)
    assert run["state_type"] == "PAUSED", run["state"]
    month.run("pneumo", "approve", "--reason", "better on what readers say")
    assert month.settled(run["id"], "PAUSED")["state_type"] == "COMPLETED"
    assert champion(month) == "2"
    (row,) = (row for row in decision(month)["rows"] if row["name"] == "shadow answers")
    assert row["passed"] and "with feedback ROC AUC +0." in row["value"], row
    until(lambda: month.ready().get("version") == "2", "the service to follow")


def recovered(month):
    assert watched(month).endswith("No reason to train again.")
    assert len(month.webhook.of("answers")) == 1
    found, broken = answer_log.read(month.home)
    assert broken == 0 and len(found) == month.asked == DAYS * A_DAY >= 5000
    days = (found["time"].dt.date - found["time"].dt.date.min()).map(lambda passed: passed.days)
    assert set(days) == set(range(DAYS))
    assert set(found.loc[days < DECISION, "version"]) == {"1"} and set(found.loc[days >= DECISION, "version"]) == {"2"}
    shown = json.loads(month.run("pneumo", "answers", "--days", "40", "--json").stdout)
    one, two = (row["realised_ever"]["auc"]["value"] for row in shown["versions"])
    assert one < two


def told(month, browser):
    """The page on answers, as MLflow has it, in a browser."""
    client = MlflowClient(month.environment["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("pneumonia").experiment_id
    (series,) = client.search_runs([experiment], "tags.stage = 'watch'")
    page = Path(client.download_artifacts(series.info.run_id, "answers.html", str(month.home)))
    words = photographed(browser, page, os.environ.get("MONTH_PICTURE"))
    assert FALLEN.search(words) and "Version 2 beside version 1 on " in words
    assert words.count("alert\n") == words.count("version 2\n") == CHARTS


def watched(month):
    """What the run of `watch` says at its end."""
    run = month.flow("pneumonia/watch", data=str(month.source))
    assert run["state_type"] == "COMPLETED", run["state"]
    return run["state"]["message"]


def champion(month, alias="champion"):
    return MlflowClient(month.environment["MLFLOW_TRACKING_URI"]).get_model_version_by_alias(MODEL, alias).version


def decision(month):
    """The last decision, as its run keeps it."""
    client = MlflowClient(month.environment["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("pneumonia").experiment_id
    runs = client.search_runs([experiment], order_by=["attributes.start_time DESC"])
    last = next(run.info.run_id for run in runs if client.list_artifacts(run.info.run_id, "promotion"))
    kept = Path(client.download_artifacts(last, "promotion/decision.json", str(month.home)))
    return json.loads(kept.read_text())["decision"]
