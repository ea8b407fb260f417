"""Figures of answers: with feedback, and what is to be expected without; withheld where they would mislead."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.monitoring import expected_auc as estimating
from pneumo.monitoring import realised as realising
from pneumo.monitoring.expected_auc import estimated_auc, expected_auc
from pneumo.monitoring.levels import Level, change
from pneumo.monitoring.realised import each_image_once, realised
from pneumo.monitoring.version_figures import RISE, Told, by_version, falls, news
from pneumo.serving import answer_log, feedback
from pneumo.serving.answer_log import KeptAnswer
from pneumo.serving.feedback import Feedback, FeedbackLog
from pneumo.settings.unattended import Watch

NOW = datetime.now(UTC)
LIMITS = Watch(minimum_feedback=10, answers_days=10)


def answers(count=400, days=40.0, strange=0.0, version="3", seed=0):
    """Answers by calibrated probabilities, spread evenly over the last days, and what the images show."""
    random = np.random.default_rng(seed)
    scores = random.beta(0.2, 0.2, count)
    table = pd.DataFrame({"probability": scores, "model": "lungs", "version": version, "source": "http"})
    table["label"] = np.where(scores > 0.5, "PNEUMONIA", "NORMAL")
    table["image"] = [f"{version}{place:031x}" for place in range(count)]
    table["time"] = [NOW - timedelta(days=days * (1 - place / count)) for place in range(count)]
    table["out_of_distribution"] = (np.arange(count) / count >= 1 - strange) & (np.arange(count) % 2 == 0)
    table["seconds"], table["id"] = 0.1, table["image"]
    truth = pd.Series(np.where(random.random(count) < scores, "PNEUMONIA", "NORMAL"), index=table["image"])
    return table, truth


def test_realised_figures_are_those_of_the_images_with_feedback():
    table, truth = answers()
    known = truth.iloc[::3]
    found = realised(each_image_once(table), known, 10)
    ill, scores = (known == "PNEUMONIA").to_numpy(), table["probability"].to_numpy()[::3]
    assert found.auc.value == pytest.approx(roc_auc_score(ill, scores))
    assert found.sensitivity.value == pytest.approx((scores[ill] > 0.5).mean()) and found.auc.low < found.auc.value
    assert (found.normal, found.pneumonia, found.withheld) == ((~ill).sum(), ill.sum(), "")


def test_an_image_that_was_asked_about_often_counts_once_for_a_version_and_unreadable_ones_not():
    table, truth = answers(60)
    again = table.iloc[:1].assign(probability=0.123, label="NORMAL")
    unread = table.iloc[1:2].assign(probability=None, label=None)
    once = each_image_once(pd.concat([table, again, unread]))
    assert len(once) == 60 and once["probability"].iloc[-1] == 0.123
    found = realised(once, truth, 1)
    assert found.normal + found.pneumonia == 60


def test_an_answer_of_an_older_pneumo_that_was_uncertain_is_called_neither_ill_nor_healthy():
    table, truth = answers()
    unsure = table["probability"].between(0.2, 0.8)
    kept = table.assign(label=table["label"].mask(unsure, "UNCERTAIN"))
    assert realised(each_image_once(kept), truth, 10) == realised(each_image_once(table[~unsure]), truth, 10)


def test_with_too_few_of_a_class_figures_are_withheld_in_words():
    table, truth = answers()
    rare = pd.concat([truth[truth == "NORMAL"], truth[truth == "PNEUMONIA"].iloc[:9]])
    found = realised(each_image_once(table), rare, 10)
    assert found.auc is None and "9 PNEUMONIA images have feedback, 10 of each are needed" in found.withheld


def test_the_expected_auc_is_that_of_labels_drawn_by_the_probabilities():
    """Against scikit-learn with the same weights, and within its interval of one draw."""
    scores = np.random.default_rng(1).beta(0.5, 0.5, 500)
    found = expected_auc(scores)
    labels, weights = np.repeat([1, 0], 500), np.concatenate([scores, 1 - scores])
    assert found.value == pytest.approx(roc_auc_score(labels, np.tile(scores, 2), sample_weight=weights))
    drawn = np.random.default_rng(2).random(500) < scores
    assert abs(roc_auc_score(drawn, scores) - found.value) < 0.05 and found.low < found.value < found.high


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (answers(99)[0], "99 images were answered, 100 are needed"),
        (answers(strange=0.5)[0], "25% of the images are out-of-distribution, 1% were"),
        (answers()[0].assign(probability=1.0), "every probability is 0 or 1"),
    ],
)
def test_the_expected_auc_is_withheld_where_probabilities_mean_little(table, words):
    found = estimated_auc(table, 0.01, 0.1)
    assert found.auc is None and words in found.withheld


def test_the_last_days_are_compared_with_the_first_or_else_with_validation_images():
    table, _ = answers(strange=0.25)
    found = change(table, 10, NOW)
    assert (found.usual.out_of_distribution, found.recent.out_of_distribution) == (0, pytest.approx(0.5, abs=0.02))
    known = Level(images=9, positive=0.5, probability=0.5, out_of_distribution=0.01)
    young = change(table[table["time"] > NOW - timedelta(days=15)], 10, NOW, known)
    assert (young.usual, young.words) == (known, "validation images")
    assert change(table.iloc[:0], 10, NOW).recent is None


def test_figures_of_the_last_days_are_of_their_answers_and_the_expected_auc_minds_what_was_usual_then():
    table, truth = answers(strange=0.25)
    old = table["time"] <= NOW - timedelta(days=12)
    turned = truth.where(old.to_numpy(), truth.map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"}))
    (found,) = by_version(table, turned, 12, NOW, LIMITS)
    assert found.realised.auc.value < 0.2 < 0.6 < found.realised_ever.auc.value
    assert found.realised.normal + found.realised.pneumonia == (~old).sum()
    assert "out-of-distribution, 0% were" in found.estimate.withheld


def test_of_many_answers_the_newest_are_measured(monkeypatch):
    table, truth = answers(400)
    for module in (realising, estimating):
        monkeypatch.setattr(module, "MOST", 150)
    found = realised(each_image_once(table), truth, 10)
    assert (found.normal, found.pneumonia) == tuple(
        (truth.tail(150) == label).sum() for label in ("NORMAL", "PNEUMONIA")
    )
    assert estimated_auc(table, 0.01, 0.1).auc == expected_auc(table["probability"].tail(150).to_numpy())


def test_a_fall_past_a_limit_is_told_once_for_each_champion():
    table, truth = answers(strange=0.25)
    wrong = truth.map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"})
    assert falls(by_version(answers()[0], truth, 10, NOW, LIMITS)[0], LIMITS) == {}
    words = falls(by_version(table, wrong, 10, NOW, LIMITS)[0], LIMITS)
    assert set(words) == {"auc", "sensitivity", "specificity", RISE}
    assert "realised ROC AUC of version 3 is 0." in words["auc"] and "below 0.85" in words["auc"]
    told, known = news(words, "3", Told(), NOW)
    again, same = news(words, "3", known, NOW + timedelta(hours=1))
    other, more = news(words, "4", same, NOW + timedelta(hours=2))
    assert len(told) == 4 and again == [] and len(other) == 4
    assert [one.when for one in more.alerts] == [NOW, NOW + timedelta(hours=2)]
    assert more.alerts[0].text == "; ".join(told)
    off = Watch(minimum_realised_auc=None, minimum_realised_sensitivity=None, minimum_realised_specificity=None)
    assert set(falls(by_version(table, wrong, 10, NOW, LIMITS)[0], off)) == {RISE}


def test_the_command_shows_versions_and_lists_contradictions(tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path))
    table, truth = answers(120, days=0.001)
    rows = [{**row, "time": row["time"].to_pydatetime()} for row in table.to_dict("records")]
    answer_log.daily_log(tmp_path).append([KeptAnswer(**row) for row in rows])
    said = [Feedback(image=image, label=label) for image, label in truth.items()]
    other = Feedback(image=truth.index[0], label="NORMAL" if truth.iloc[0] == "PNEUMONIA" else "PNEUMONIA")
    FeedbackLog(tmp_path, b"secret" * 4).add([*said, other])
    shown = CliRunner().invoke(app, ["answers"])
    assert "1 image on which readers contradict each other" in shown.output and "rarely a random" in shown.output
    found = json.loads(CliRunner().invoke(app, ["answers", "--json"]).output)
    (version,) = found["versions"]
    assert version["realised"]["normal"] + version["realised"]["pneumonia"] == 119 and version["estimate"]["auc"]
    assert {row["image"] for row in found["contradicted"]} == {truth.index[0]}
    assert not (tmp_path / feedback.FOLDER / "x").exists() and found["broken_lines"] == 0
