"""The figures of a version on its own images, at another operating point than the one that it was registered with."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo.evaluation.measures import Operating, apply_operating, operating_figures
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.records.base import Conformal, Interval
from pneumo.records.model import Evaluation
from pneumo.registry.acceptance.at_home import LEFT_OUT, at_point
from pneumo.registry.promotion import version_evidence

OLD, NEW = Operating(0.0, 1.0, 0.5), Operating(0.4, 1.5, 0.7)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Evidence of a version: of 400 images half are test, of two sexes."""
    random, numbers = np.random.default_rng(2), np.arange(400)
    ill = numbers % 2 == 1
    rows = pd.DataFrame({name: [f"{name}{number}" for number in numbers] for name in ("path", "patient")})
    rows["label"], rows["split"] = np.where(ill, "PNEUMONIA", "NORMAL"), np.where(numbers < 200, "test", "validation")
    rows["subtype"] = "none"
    rows.assign(logit=random.normal(ill * 2 - 1, 1.5)).to_parquet(tmp_path / version_evidence.PREDICTIONS)
    manifest = rows.assign(width=64, height=64 + numbers, sex=np.where(numbers % 3 == 0, "F", "M"))
    manifest.to_parquet(tmp_path / version_evidence.MANIFEST)
    return tmp_path


def joined(kept: Path) -> pd.DataFrame:
    logits = pd.read_parquet(kept / version_evidence.PREDICTIONS, columns=["path", "logit"])
    return pd.read_parquet(kept / version_evidence.MANIFEST).merge(logits, on="path")


def before(kept: Path) -> Evaluation:
    rows, none = joined(kept), Interval(value=0.5, low=0.4, high=0.6)
    point = {f"shifted_{name}": value for name, value in operating_figures(rows, OLD).items()}
    held_out = operating_figures(rows[rows["split"] == "validation"], OLD)
    metrics = {**point, **{f"validation_{name}": value for name, value in held_out.items()}}
    metrics |= {"fitted_prevalence": 0.5, "test_uncertain": 0.3, "shortcut_border_alone_auc": 0.6, "latency_ms": 9.0}
    return Evaluation(
        name="fair", key="k", run_id="r", model_uri="m", bundle=kept, predictions=kept, minutes=1, **OLD._asdict(),
        selection_score=0.8, validation_auc=0.8, test_auc=none, sensitivity=none, specificity=none, metrics=metrics,
        slices=measure_slices(apply_operating(rows[rows["split"] == "test"], OLD)),
        conformal=Conformal(coverage=0.9, normal_up_to=0.6, pneumonia_from=0.4),
    )  # fmt: skip


def test_slices_and_validation_figures_are_those_of_the_new_point(kept: Path) -> None:
    rows, old = joined(kept), before(kept)
    found = at_point(kept, old, NEW, 0.3)
    test = apply_operating(rows[rows["split"] == "test"], NEW)
    assert found.slices == measure_slices(test) and "sex F" in found.slices
    assert found.slices["sex F"]["sensitivity"] < old.slices["sex F"]["sensitivity"]
    held_out = operating_figures(rows[rows["split"] == "validation"], NEW)
    assert {name: found.metrics[f"validation_{name}"] for name in held_out} == held_out
    assert (found.metrics["fitted_prevalence"], found.threshold, found.metrics["threshold"]) == (0.3, 0.7, 0.7)


def test_what_cannot_be_measured_at_the_new_point_is_left_out_with_the_reason(kept: Path) -> None:
    found = at_point(kept, before(kept), NEW, 0.3)
    assert not [name for name in found.metrics if name.startswith("shifted_") or name == "test_uncertain"]
    assert found.conformal is None and found.unmeasured == LEFT_OUT
    assert (found.metrics["shortcut_border_alone_auc"], found.metrics["latency_ms"]) == (0.6, 9.0)
    assert at_point(kept, found, OLD, 0.5).unmeasured == LEFT_OUT
