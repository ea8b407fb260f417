"""The recipes of CONTRIBUTING.md, run as they stand there, from outside the package."""

import importlib

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from prefect.utilities.callables import parameter_schema
from pydantic import Field

from pneumo.data.sources import schemes
from pneumo.evaluation import candidate_figures, measures
from pneumo.evaluation.candidate_figures import FIGURES, ScoredImages
from pneumo.records.base import Interval
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import gates
from pneumo.settings.data import Data
from pneumo.settings.promotion import Promotion
from pneumo.training.candidates.spec import parse_backbones
from pneumo.training.networks import backbones
from tests.docs.blocks import PROJECT, blocks

RECIPES = [block.text for block in blocks() if block.file == "CONTRIBUTING.md" and block.language == "python"]
BACKBONE, SOURCE, GATE, REPORT, METRIC, STAGE, DEPLOYMENT, SETTING = RECIPES
DEPLOYMENT_ENTRY, SETTING_LINE = (
    yaml.safe_load(block.text) for block in blocks() if block.file == "CONTRIBUTING.md" and block.language == "yaml"
)


def follow(recipe):
    names = {"__name__": "recipe"}
    exec(compile(recipe, "CONTRIBUTING.md", "exec"), names)
    return names


@pytest.fixture
def table(monkeypatch):
    """Tables of the package as they were, once the test is over."""
    monkeypatch.setattr(backbones, "SCALING", dict(backbones.SCALING))
    monkeypatch.setattr(schemes, "SCHEMES", dict(schemes.SCHEMES))
    monkeypatch.setattr(gates, "GATES", gates.GATES)
    monkeypatch.setattr(candidate_figures, "FIGURES", dict(FIGURES))
    monkeypatch.setattr(measures, "PROBABILITY_METRICS", dict(measures.PROBABILITY_METRICS))
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
    shown = ScoredImages(labels, labels, np.array([0.9, 0.1]), np.array([0.9, 0.1]), np.array(["a", "b"]), None)
    candidate_figures.FIGURES["scores"](shown).savefig(tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 1000


def test_a_metric(table):
    follow(METRIC)
    rows = pd.DataFrame({"label": ["PNEUMONIA", "NORMAL"] * 4, "patient": list("abcdefgh"), "logit": [1.0, -1.0] * 4})
    scored = measures.apply_operating(rows, measures.Operating(0, 0.5, 0.5))
    found = measures.measure(scored, temperature=0.5).flat()
    assert found["log_loss"] == pytest.approx(np.log1p(np.exp(-2)))
    assert found["log_loss_raw"] == pytest.approx(np.log1p(np.exp(-1)))


def test_a_stage(tmp_path):
    brightness = follow(STAGE)["brightness"]
    rows = pd.DataFrame({"label": ["NORMAL", "PNEUMONIA"], "mean": [90.0, 140.0]})
    rows.to_parquet(tmp_path / "manifest.parquet")
    version = DatasetVersion(
        digest="d", source="here", synthetic=True, root=tmp_path, manifest=tmp_path / "manifest.parquet", images=2,
        counts={},
    )  # fmt: skip
    found = brightness(version, tmp_path)
    assert pd.read_csv(found, index_col=0).loc["PNEUMONIA", "mean"] == 140
    written = found.stat().st_mtime_ns
    assert brightness(version, tmp_path) == found and found.stat().st_mtime_ns == written


def test_a_deployment():
    """The entry names the flow, and has what those of the project have."""
    count, (entry,) = follow(DEPLOYMENT)["count"], DEPLOYMENT_ENTRY
    assert entry["entrypoint"] == f"flows/{count.fn.__name__}.py:{count.fn.__name__}"
    schema = parameter_schema(count.fn).model_dump()
    assert schema["properties"]["source"]["description"] == "As for train." and schema["required"] == ["source"]
    others = yaml.safe_load((PROJECT / "flows/prefect.yaml").read_text())["deployments"]
    assert set(entry) <= set().union(*others) and entry["work_pool"]["name"] == others[0]["work_pool"]["name"]
    assert importlib.import_module("flows.train").train.name == count.name


def test_a_setting():
    section = follow(SETTING)["Gate"]
    assert section(**SETTING_LINE["gate"]) == section()
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        section(smallest_side=0)
