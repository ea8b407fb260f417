from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo.evaluation.measures import Operating, apply_operating, measure
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.records.base import LABELS
from pneumo.records.decision import Decision, PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.dossier.facts import Facts, Training, data_facts
from pneumo.settings.promotion import Promotion

FIELDS = {"test_auc": "auc", "sensitivity": "sensitivity", "specificity": "specificity"}


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
