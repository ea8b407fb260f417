"""The four recipes of CONTRIBUTING.md, run as they stand there, from outside the package."""

import numpy as np
import pytest
from PIL import Image
from pydantic import Field

from pneumo.data.sources import schemes
from pneumo.evaluation import evaluate
from pneumo.evaluation.evaluate import PICTURES, Shown
from pneumo.registry.promotion import gates
from pneumo.settings import Data, Promotion
from pneumo.stages import Evaluation, Interval
from pneumo.training.candidates.spec import parse_backbones
from pneumo.training.networks import backbones
from tests.docs.blocks import blocks

RECIPES = [block.text for block in blocks() if block.file == "CONTRIBUTING.md" and block.language == "python"]
BACKBONE, SOURCE, GATE, REPORT = RECIPES


def follow(recipe):
    exec(compile(recipe, "CONTRIBUTING.md", "exec"), {})


@pytest.fixture
def table(monkeypatch):
    """Tables of the package as they were, once the test is over."""
    monkeypatch.setattr(backbones, "SCALING", dict(backbones.SCALING))
    monkeypatch.setattr(schemes, "SCHEMES", dict(schemes.SCHEMES))
    monkeypatch.setattr(gates, "GATES", gates.GATES)
    monkeypatch.setattr(evaluate, "PICTURES", dict(PICTURES))
    backbones.available.cache_clear()
    yield
    backbones.available.cache_clear()


def test_a_backbone(table):
    del backbones.SCALING["mobilenet"]
    assert "MobileNet" not in backbones.available()
    backbones.available.cache_clear()
    follow(BACKBONE)
    assert [str(backbone) for backbone in parse_backbones("MobileNet:0.25")] == ["MobileNet 0.25"]
    network = backbones.build("MobileNet", 0.25, 32)
    assert network.output_shape == (None, 1, 1, 256)


def test_a_source(table, tmp_path):
    for label in ("NORMAL", "PNEUMONIA"):
        folder = tmp_path / "pacs" / "monday" / label
        folder.mkdir(parents=True)
        Image.fromarray(np.full((80, 80), 100 + len(label), np.uint8)).save(folder / "a.png")
    follow(SOURCE)
    assert schemes.ingest("pacs:monday", tmp_path, Data()).images == 2


def test_a_gate(table, tmp_path):
    class Policy(Promotion):
        maximum_brier: float = Field(0.2, gt=0)

    follow(GATE)
    half = Interval(value=0.9, low=0.8, high=1.0)
    measured = Evaluation(
        name="a", key="k", run_id="r", model_uri="", bundle=tmp_path, predictions=tmp_path, minutes=1, threshold=0.5,
        temperature=1, offset=0, selection_score=0.9, validation_auc=0.9, test_auc=half, sensitivity=half,
        specificity=half, metrics={"test_brier": 0.3}, slices={},
    )  # fmt: skip
    row = gates.figure_rows(measured, Policy())[-1]
    assert (row.name, row.limit, row.value, row.passed) == ("Brier score", "at most 0.2", "0.300", False)


def test_a_report(table, tmp_path):
    follow(REPORT)
    labels = np.array([True, False])
    shown = Shown(labels, labels, np.array([0.9, 0.1]), np.array([0.9, 0.1]), np.array(["a", "b"]), None)
    evaluate.PICTURES["scores"](shown).savefig(tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 1000
