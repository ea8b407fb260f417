"""Checklists say what the run knows, leave to people what only they know, and make nothing up."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from pneumo.records.base import LABELS, Interval
from pneumo.records.data import ShiftAudit, ShiftRow
from pneumo.registry.dossier import chai
from pneumo.registry.dossier.checklists import CHECKLISTS, Checklist, fill, read_table
from pneumo.registry.dossier.facts import Facts, Training, data_facts
from pneumo.registry.dossier.item_answers import Answers
from tests.registry.dossier.filled import claim, item, north


def test_the_checklists_have_the_items_of_their_sources() -> None:
    lists = {name: Checklist.model_validate(read_table(name)) for name in CHECKLISTS}
    assert [row.number for row in lists["claim-2024"].items] == [str(number) for number in range(1, 45)]
    numbers = [row.number for row in lists["tripod-ai"].items]
    assert len(numbers) == len(set(numbers)) == 52
    assert list(dict.fromkeys(re.sub(r"\D", "", number) for number in numbers)) == [str(n) for n in range(1, 28)]


def test_what_only_people_know_is_open_and_says_what_is_missing(facts: Facts) -> None:
    funding = claim(facts, 44)
    assert (funding.status, funding.answer) == ("open", "") and "Who paid" in funding.for_people
    data = claim(facts, 7)
    assert data.status == "answered in part" and "hospitals" in data.for_people
    for name in CHECKLISTS:
        for row in fill(name, facts, Answers(facts)).items:
            assert row.answer or row.for_people, row.number


def test_what_was_not_done_is_said_to_be_not_done(facts: Facts) -> None:
    for number, words in ((33, "images of another hospital"), (18, "one label"), (34, "no clinical trial")):
        found = claim(facts, number)
        assert found.status == "not done" and words in found.answer, found
    assert claim(facts, 24).status == "not recorded"
    assert item(facts, "tripod-ai", "12f").status == item(facts, "tripod-ai", "24").status == "not done"


def test_figures_are_those_of_the_evaluation(facts: Facts) -> None:
    e, split = facts.evaluation, facts.data.splits["test"]
    auc = f"ROC AUC {e.test_auc.value:.3f} ({e.test_auc.low:.3f} to {e.test_auc.high:.3f})"
    for found in (claim(facts, 32), claim(facts, 37), item(facts, "tripod-ai", "23a")):
        assert auc in found.answer
    assert f"sensitivity {e.sensitivity:.3f}" in claim(facts, 38).answer
    assert f"On {split.normal + split.pneumonia} test images of {split.patients} patients" in claim(facts, 37).answer
    assert split.patients == e.metrics["test_patients"] and "48 NORMAL, 48 PNEUMONIA" in claim(facts, 19).answer
    document = ElementTree.fromstring(chai.write(facts, Answers(facts)))
    label = document.find(".//{*}MetricResult[{*}Label='ROC AUC, test images']/{*}ValueJson")
    assert label is not None and json.loads(label.text or "") == {
        "kind": "estimate_ci", "level": 95,
        "estimate": e.test_auc.value, "lower": e.test_auc.low, "upper": e.test_auc.high,
    }  # fmt: skip


def test_external_sets_and_shift_audits_are_told(facts: Facts) -> None:
    auc = Interval(value=0.89, low=0.84, high=0.94)
    rows = tuple(
        ShiftRow(label=label, images=9, patients=8, auc=auc, random=Interval(value=0.5, low=0.45, high=0.55))
        for label in LABELS
    )
    audits = (ShiftAudit(name="test", features="intensity", rows=rows),)
    told = replace(facts, external=(north(),), audits=audits)
    assert claim(told, 33).status == "answered" and "Does not generalise: AUC 0.420" in claim(told, 33).answer
    assert "The test normals are from elsewhere" in item(told, "tripod-ai", "16").answer
    assert '"estimate":0.42' in chai.write(told, Answers(told))


def test_demographics_are_counted_where_headers_tell_them(manifest: Path, facts: Facts, tmp_path: Path) -> None:
    assert claim(facts, 36).status == "not recorded"
    rows = pd.read_parquet(manifest)
    rows["sex"], rows["patient_known"] = ["F", ""] * (len(rows) // 2), [False, *[True] * (len(rows) - 1)]
    rows.to_parquet(tmp_path / "told.parquet")
    told = replace(facts, data=data_facts(tmp_path / "told.parquet", "lungs", False, "d"))
    assert claim(told, 36).status == "answered in part" and "F 26, not told 26" in claim(told, 36).answer
    assert "Of 1 images the patient is not known" in claim(told, 20).answer


def test_an_ensemble_names_its_members_and_their_settings(facts: Facts) -> None:
    recipe = {
        name: {"weights": "imagenet", "seed": "0", "epochs": "3", "folds": "3", "views": "2"} for name in ("A", "B")
    }
    told = replace(
        facts,
        evaluation=facts.evaluation.model_copy(update={"name": "ensemble"}),
        training=Training(recipe, {"keras": "3.13"}, "abc", True, "4"),
    )
    assert "The mean of A, B. A is the mean of 3 networks" in claim(told, 27).answer
    assert "weights pretrained on ImageNet" in claim(told, 24).answer and "epochs 3" in claim(told, 25).answer
    assert claim(told, 23).answer == "keras 3.13. Code: commit abc, with changes that are in no commit."
    assert "The gate took out 4 files" in claim(told, 35).answer
