"""A shadow is compared with the champion on the same images, and with what readers said of them where they did."""

import json
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.monitoring.answers_page import page
from pneumo.monitoring.shadow_comparison import compare_shadows, difference
from pneumo.serving import shadow_log
from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.shadow_log import Answered, ShadowAnswer
from tests.monitoring.test_version_figures import NOW, answers


def pairs(count=200, noise=2.0, seed=0):
    """Answers of champion 1 and a shadow 2 whose scores have other noise, and what the images show."""
    random = np.random.default_rng(seed)
    ill = np.arange(count) % 2 == 1
    own, theirs = ill + noise * random.normal(size=count), ill + random.normal(size=count)
    table = pd.DataFrame({"model": "lungs", "version": "2", "champion": "1"}, index=range(count))
    for prefix, score in (("", own), ("champion_", theirs)):
        table[f"{prefix}probability"] = 1 / (1 + np.exp(0.5 - score))
        table[f"{prefix}label"] = np.where(score > 0.5, "PNEUMONIA", "NORMAL")
        table[f"{prefix}out_of_distribution"] = False
    table["image"] = table["id"] = [f"{place:032x}" for place in range(count)]
    table["time"] = [NOW - timedelta(minutes=count - place) for place in range(count)]
    return table, pd.Series(np.where(ill, "PNEUMONIA", "NORMAL"), index=table["image"])


def test_a_line_has_both_answers_each_in_its_own_columns():
    own = Answer(probability=0.2, label="NORMAL", error=None, out_of_distribution=False)
    theirs = Answer(probability=0.9, label="PNEUMONIA", error=None, out_of_distribution=True)
    shadow, champion = (SimpleNamespace(name="lungs", version=number) for number in ("2", "1"))
    (line,) = shadow_log.pairs(shadow, champion, [Answered("f" * 32, theirs)], [own])
    assert (line.version, line.probability, line.label, line.out_of_distribution) == ("2", 0.2, "NORMAL", False)
    said = (line.champion, line.champion_probability, line.champion_label, line.champion_out_of_distribution)
    assert said == ("1", 0.9, "PNEUMONIA", True)


def test_agreement_and_shares_are_those_of_the_pairs():
    table, truth = pairs()
    table.loc[:9, "out_of_distribution"] = True
    (found,) = compare_shadows(table, truth.iloc[:0], 10)
    assert found.agreement.value == (table["label"] == table["champion_label"]).mean()
    called = [(table[name] == "PNEUMONIA").mean() for name in ("label", "champion_label")]
    assert found.positive.value == pytest.approx(called[0] - called[1])
    assert found.positive.low < found.positive.value < found.positive.high
    assert found.out_of_distribution.value == pytest.approx(0.05)
    assert found.auc is None and "0 NORMAL and 0 PNEUMONIA images have feedback" in difference(found)


def test_with_feedback_aucs_are_compared_in_pairs_and_shares_at_the_labels_given():
    table, truth = pairs()
    known = truth.iloc[::3]
    (found,) = compare_shadows(table, known, 10)
    rows, ill = table.iloc[::3], (known == "PNEUMONIA").to_numpy()
    assert found.auc.first == pytest.approx(roc_auc_score(ill, rows["probability"]))
    assert found.auc.second == pytest.approx(roc_auc_score(ill, rows["champion_probability"]))
    own, theirs = ((rows[name] == "PNEUMONIA").to_numpy() for name in ("label", "champion_label"))
    assert found.sensitivity.value == pytest.approx(own[ill].mean() - theirs[ill].mean())
    assert found.specificity.value == pytest.approx(theirs[~ill].mean() - own[~ill].mean())
    assert "with feedback ROC AUC -" in difference(found)


def test_an_image_counts_once_each_champion_is_apart_and_what_the_shadow_cannot_read_is_counted():
    table, truth = pairs(60)
    again = table.iloc[:1].assign(label=table["champion_label"].iloc[0])
    unread = table.iloc[1:2].assign(label=None, probability=None)
    later = table.iloc[:40].assign(champion="5")
    before, after = compare_shadows(pd.concat([table, again, unread, later]), truth, 10)
    assert (before.champion, before.images, before.unreadable) == ("1", 59, 1)
    assert (after.champion, after.images, after.unreadable) == ("5", 40, 0)


def test_a_shadow_that_could_read_nothing_has_no_figures():
    table, truth = pairs(5)
    assert compare_shadows(table.assign(label=None, probability=None), truth, 10) == []
    assert compare_shadows(table.iloc[:0], truth, 10) == []


def test_command_and_page_show_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path))
    table, truth = pairs(40)
    rows = [{**row, "time": row["time"].to_pydatetime()} for row in table.to_dict("records")]
    shadow_log.daily_log(tmp_path).append([ShadowAnswer(**row) for row in rows])
    shown = CliRunner().invoke(app, ["answers"])
    assert "lungs 2, beside version 1 on 40 images" in shown.output
    (found,) = json.loads(CliRunner().invoke(app, ["answers", "--json"]).output)["shadows"]
    assert (found["version"], found["images"]) == ("2", 40)
    html = page("lungs", answers(20)[0], truth, [], NOW, 0.11, compare_shadows(table, truth, 10))
    assert "Version 2 beside version 1 on 40 images" in html
