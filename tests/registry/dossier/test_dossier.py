"""The dossier says what the run knows, leaves to people what only they know, and makes nothing up."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pandas as pd
import pytest

from pneumo.evaluation.measures import Operating, apply_operating, measure
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.records.base import LABELS, Interval
from pneumo.records.data import ShiftAudit, ShiftRow
from pneumo.records.decision import Decision, PolicyRow
from pneumo.records.model import Evaluation, External
from pneumo.registry.dossier import chai, write
from pneumo.registry.dossier.answers import Answers, Status
from pneumo.registry.dossier.checklists import CHECKLISTS, Checklist, FilledChecklist, fill, read_table
from pneumo.registry.dossier.facts import Facts, Training, data_facts
from pneumo.sections import Promotion

FILES = {"chai-model-card.xml", "claim-2024.json", "tripod-ai.json", "dossier.html"}
# What schema v0.2 prescribes: the elements of each element, in this order; of the optional ones those that are used.
FIELDS = {"test_auc": "auc", "sensitivity": "sensitivity", "specificity": "specificity"}
PRESCRIBED = {
    "AppliedModelCard": "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings TrustIngredients KeyMetrics "
    "Resources Bibliography",
    "BasicInfo": "ModelName ModelDeveloper DeveloperContact",
    "ReleaseInfo": "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability RegulatoryApproval",
    "ModelSummary": "Summary Keywords",
    "UsesAndDirections": "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse TargetedPatientPopulation "
    "CautionedOutOfScopeSettings",
    "Warnings": "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
    "TrustIngredients": "AISystemFacts TransparencyInformation",
    "AISystemFacts": "OutcomesAndOutputs ModelType FoundationModels InputDataSource OutputAndInputDataTypes "
    "DevelopmentDataCharacterization BiasMitigationApproaches OngoingMaintenance Security Transparency",
    "TransparencyInformation": "FundingSource ThirdPartyInformation StakeholdersConsulted",
    "KeyMetrics": "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
    "Resources": "EvaluationReferences ClinicalTrial PeerReviewedPublications ReimbursementStatus "
    "PatientConsentOrDisclosure",
    **dict.fromkeys(
        ("UsefulnessUsabilityEfficacy", "FairnessEquity", "SafetyReliability"),
        "MetricGoal Results Interpretation TestType TestingDataDescription ValidationProcessAndJustification",
    ),
    "MetricResult": "Label ValueJson",
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images a patient, every other patient ill; splits 1/4, 1/4, 1/2."""
    patients = range(100)
    rows = [
        {
            "path": f"person{number}_{image}.png", "patient": f"person{number}", "width": 8, "height": 8,
            "label": LABELS[number % 2], "split": ("train", "validation", "test", "test")[number // 2 % 4],
            "subtype": "bacteria" if number % 2 else "none",
        }
        for number in patients for image in range(2)
    ]  # fmt: skip
    file = tmp_path_factory.mktemp("data") / "manifest.parquet"
    pd.DataFrame(rows).to_parquet(file)
    return file


@pytest.fixture(scope="module")
def facts(manifest: Path) -> Facts:
    """Of a version that was promoted, on images of people."""
    rows = pd.read_parquet(manifest)
    rows = rows[rows["split"] == "test"].reset_index(drop=True)
    rows["logit"] = np.random.default_rng(0).normal((rows["label"] == "PNEUMONIA") * 2 - 1)
    scored = apply_operating(rows, Operating(0.0, 1.0, 0.4))
    measures = measure(scored, 1.0)
    known = {name: measures.intervals[key] for name, key in FIELDS.items()}
    evaluation = Evaluation(
        name="net", key="k", run_id="r1", model_uri="m", bundle=Path("/data/b"), predictions=Path("/data/p"), minutes=1,
        threshold=0.4, temperature=1, offset=0, selection_score=0.9, validation_auc=0.9, **known,
        metrics={f"test_{key}": value for key, value in measures.flat().items()}, slices=measure_slices(scored),
    )  # fmt: skip
    rows = (PolicyRow(name="ROC AUC", limit="at least 0.6", value="0.9", passed=True),)
    decision = Decision(
        promoted=True, reason="", registered_model="lungs", version="1", name="net", run_id="r1", champion_before=None,
        rows=rows,
    )  # fmt: skip
    return Facts(
        model="lungs", version="1", run="r1", pipeline="r0",
        data=data_facts(manifest, "/home/anna/chest", False, "d1"),
        training=Training({}, {}, "", False, ""), evaluation=evaluation, spec={"size": 96, "fit": "squash"},
        policy=Promotion(), rows=rows, decision=decision,
    )  # fmt: skip


def item(facts: Facts, checklist: str, number: str) -> Any:
    return next(row for row in fill(checklist, facts, Answers(facts)).items if row.number == number)


def claim(facts: Facts, number: int) -> Any:
    return item(facts, "claim-2024", str(number))


def north(**changes: Any) -> External:
    interval = Interval(value=0.42, low=0.36, high=0.48)
    known: dict[str, Any] = {
        "name": "north", "source": "/data/north", "folder": Path("/data"), "images": 200, "errors": 0, "auc": interval,
        "sensitivity": interval, "specificity": interval, "out_of_distribution": 0.9, "metrics": {}, "slices": {},
        "generalises": False, "verdict": "Does not generalise: AUC 0.420 (0.360 to 0.480), 0.970 at home.",
    }  # fmt: skip
    return External(**known | changes)


def test_every_promotion_leaves_a_dossier_with_its_run(world: Any, quick: None, tmp_path: Path) -> None:
    evaluation = world.candidate("candidate", noise=1.0)
    world.promote(evaluation)
    folder = world.tracker.files.download(f"runs:/{evaluation.run_id}/dossier", tmp_path)
    assert {file.name for file in folder.iterdir()} == FILES
    found = FilledChecklist.model_validate_json((folder / "claim-2024.json").read_text())
    assert (found.registered_model, found.version, found.run) == (world.name, "1", evaluation.run_id)
    assert "its dossier is `dossier/dossier.html`" in world.tracker.registry.version(world.name, "1").description
    page = world.tracker.files.download(f"runs:/{evaluation.run_id}/card.html", tmp_path / "card").read_text()
    assert f"runs/{evaluation.run_id}/artifacts/dossier/dossier.html" in page


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


def test_the_page_shows_the_figures_of_the_card_as_people_write_them(facts: Facts) -> None:
    shown = dict(chai.fields(chai.write(facts, Answers(facts))))
    auc = f"{facts.evaluation.test_auc:.3f}"
    assert shown["KeyMetrics / UsefulnessUsabilityEfficacy / Results / ROC AUC, test images"] == auc
    assert shown["KeyMetrics / FairnessEquity / Results / not done: ROC AUC by sex and age"] == "no figure"


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


def test_a_model_of_embeddings_claims_no_pixels_and_no_maps(facts: Facts, tmp_path: Path) -> None:
    changes = {"vectors": Path("/data/v"), "selection_score": None, "unmeasured": ("Shortcut tests need images.",)}
    told = replace(facts, evaluation=facts.evaluation.model_copy(update=changes), spec={"width": 128})
    write.write(told, tmp_path)
    assert "embeddings of 128 numbers" in claim(told, 9).answer and "validation ROC AUC 0.9" in claim(told, 26).answer
    assert claim(told, 31).status == "not done" and "Shortcut tests need images." in claim(told, 30).answer
    assert "pixels" not in item(told, "tripod-ai", "9a").answer


def test_no_path_and_no_patient_is_told(facts: Facts, tmp_path: Path) -> None:
    told = replace(facts, external=(north(),))
    write.write(told, tmp_path)
    for name in FILES:
        text = (tmp_path / name).read_text()
        assert not re.search(r"/home|/data|/tmp|anna|person\d", text), name
        assert "chest" in text


def test_hostile_text_stays_text(facts: Facts, tmp_path: Path) -> None:
    told = replace(facts, data=replace(facts.data, source="<script>alert(1)</script>\x00"))
    write.write(told, tmp_path)
    assert "<script>" not in (tmp_path / "dossier.html").read_text()
    card = (tmp_path / "chai-model-card.xml").read_text()
    assert "<script>" not in card and ElementTree.fromstring(card) is not None


def test_the_same_facts_give_the_same_bytes(facts: Facts, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write.write(facts, tmp_path / folder)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_card_has_the_elements_of_its_schema_in_their_order(facts: Facts) -> None:
    root = ElementTree.fromstring(chai.write(facts, Answers(facts)))
    assert root.tag == "{https://mc.chai.org/v0.2/schema.xsd}AppliedModelCard"
    seen = set()
    for element in root.iter():
        name = element.tag.partition("}")[2]
        children = [child.tag.partition("}")[2] for child in element]
        if name in PRESCRIBED:
            seen.add(name)
            assert children == PRESCRIBED[name].split(), name
        elif name in ("Results", "Keywords"):
            assert set(children) == {"MetricResult" if name == "Results" else "Keyword"}
        else:
            assert not children and element.text, name
    assert seen == set(PRESCRIBED)


def test_the_json_follows_its_schema(facts: Facts, tmp_path: Path) -> None:
    write.write(facts, tmp_path)
    schema = FilledChecklist.model_json_schema()
    for name in CHECKLISTS:
        found = json.loads((tmp_path / f"{name}.json").read_text())
        jsonschema.validate(found, schema)
        assert sum(found["counts"].values()) == len(found["items"]) and set(found["counts"]) == set(get_args(Status))
