"""The files of a dossier, with every promotion; no path, no patient and no hostile text is in them."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import jsonschema

from pneumo.registry.dossier import write
from pneumo.registry.dossier.checklists import CHECKLISTS, FilledChecklist
from pneumo.registry.dossier.facts import Facts
from pneumo.registry.dossier.item_answers import Status
from tests.registry.dossier.filled import claim, item, north

FILES = {"chai-model-card.xml", "claim-2024.json", "tripod-ai.json", "dossier.html"}


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


def test_the_json_follows_its_schema(facts: Facts, tmp_path: Path) -> None:
    write.write(facts, tmp_path)
    schema = FilledChecklist.model_json_schema()
    for name in CHECKLISTS:
        found = json.loads((tmp_path / f"{name}.json").read_text())
        jsonschema.validate(found, schema)
        assert sum(found["counts"].values()) == len(found["items"]) and set(found["counts"]) == set(get_args(Status))
