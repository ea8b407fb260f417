import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from pneumo.errors import DataError, ModelError
from pneumo.evaluation.evaluate import evaluate
from pneumo.evaluation.measures import fit_operating
from pneumo.serving.bundle.image_bundle import load_bundle
from pneumo.settings.promotion import Promotion

FIGURES = [
    "confusion", "heat_maps_normal", "heat_maps_pneumonia", "learning_curves", "precision_recall", "reliability",
    "risk_coverage", "roc",
]  # fmt: skip


def test_figures_numbers_and_bundle_are_written(evaluation):
    folder = evaluation.bundle.parent
    assert sorted(path.stem for path in (folder / "figures").iterdir()) == FIGURES
    assert sorted(path.name for path in evaluation.bundle.iterdir()) == [
        "model.keras", "out_of_distribution.npz", "serving.json",
    ]  # fmt: skip
    report = json.loads((folder / "metrics.json").read_text())
    assert report["metrics"] == evaluation.metrics and len(report["shortcuts"]) == 6
    warned = [row["warning"] for row in report["shortcuts"] if row["warning"]]
    assert list(evaluation.warnings) == warned and len(warned) == evaluation.metrics["shortcut_warnings"]


def test_measures_are_those_of_the_test_images(evaluation, candidate):
    rows = pd.read_parquet(candidate.predictions).query("split == 'test'")
    assert evaluation.test_auc.value == pytest.approx(roc_auc_score(rows["label"] == "PNEUMONIA", rows["logit"]))
    assert evaluation.test_auc.low < evaluation.test_auc.value < evaluation.test_auc.high
    assert evaluation.metrics["test_auc"] == evaluation.test_auc.value
    assert evaluation.metrics["test_images"] == len(rows) and evaluation.metrics["test_patients"] == len(rows) / 2
    assert evaluation.model_uri == ""


def test_the_threshold_reaches_the_target_on_validation_images_as_they_are_and_shifted(evaluation, candidate):
    parts = {"validation": candidate.predictions, "shifted": candidate.predictions.with_name("shifted.parquet")}
    hits = ill = 0.0
    for part, file in parts.items():
        rows = pd.read_parquet(file)
        count = (rows.query("split == 'validation'") if "split" in rows else rows)["label"].eq("PNEUMONIA").sum()
        hits, ill = hits + count * evaluation.metrics[f"{part}_sensitivity"], ill + count
    assert hits / ill >= 0.95


def test_test_images_do_not_move_temperature_or_threshold(candidate, dataset, home, evaluation):
    """Even predictions turned upside down on the test images."""
    rows = pd.read_parquet(candidate.predictions)
    test = rows["split"] == "test"
    folder = home / "turned"
    folder.mkdir()
    (folder / "shifted.parquet").write_bytes(candidate.predictions.with_name("shifted.parquet").read_bytes())
    rows.loc[test, "label"] = rows.loc[test, "label"].map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"})
    rows.to_parquet(folder / "predictions.parquet")
    turned = candidate.model_copy(update={"key": "turned", "predictions": folder / "predictions.parquet"})
    other = evaluate(turned, *dataset, Promotion(), home)
    assert (other.temperature, other.threshold) == (evaluation.temperature, evaluation.threshold)
    assert other.test_auc.value == pytest.approx(1 - evaluation.test_auc.value)


def test_the_bundle_scores_as_the_predictions_say(evaluation, candidate, dataset):
    version, store = dataset
    bundle = load_bundle(evaluation.bundle)
    rows = pd.read_parquet(candidate.predictions)
    positions = pd.read_parquet(version.manifest).reset_index().set_index("path")["index"][rows["path"]]
    probability = bundle.score(np.load(store.path)[positions]).probability
    np.testing.assert_allclose(probability, bundle.probability(rows["logit"].to_numpy()), atol=1e-5)
    spec = bundle.spec
    assert (spec.threshold, spec.temperature, spec.dataset) == (
        evaluation.threshold, evaluation.temperature, version.digest,
    )  # fmt: skip


def test_a_second_call_returns_the_kept_result_under_the_new_run(candidate, dataset, home, evaluation):
    written = (evaluation.bundle / "model.keras").stat().st_mtime_ns
    again = evaluate(candidate.model_copy(update={"run_id": "second"}), *dataset, Promotion(), home)
    assert again == evaluation.model_copy(update={"run_id": "second"})
    assert (again.bundle / "model.keras").stat().st_mtime_ns == written


def test_another_target_is_another_result(candidate, dataset, home, evaluation):
    other = evaluate(candidate, *dataset, Promotion(target_sensitivity=0.5), home)
    assert other.key != evaluation.key and other.threshold > evaluation.threshold


def test_predictions_of_another_data_set_are_refused(candidate, dataset, home):
    rows = pd.read_parquet(candidate.predictions)
    rows.loc[rows.index[0], "path"] = "elsewhere.png"
    rows.to_parquet(home / "foreign.parquet")
    foreign = candidate.model_copy(update={"key": "foreign", "predictions": home / "foreign.parquet"})
    with pytest.raises(DataError, match=r"has 1 other images such as elsewhere\.png: train tiny on this data set"):
        evaluate(foreign, *dataset, Promotion(), home)


def test_a_model_that_does_not_score_as_its_predictions_say_is_refused(candidate, dataset, home):
    rows = pd.read_parquet(candidate.predictions)
    rows.assign(logit=-rows["logit"]).to_parquet(home / "wrong.parquet")
    (home / "shifted.parquet").write_bytes(candidate.predictions.with_name("shifted.parquet").read_bytes())
    wrong = candidate.model_copy(update={"key": "wrong", "predictions": home / "wrong.parquet"})
    with pytest.raises(ModelError, match="do not belong together; train it again"):
        evaluate(wrong, *dataset, Promotion(), home)
    assert not list((home / "cache" / "evaluate").glob(".*"))


def test_the_operating_point_is_fitted_at_home_and_under_change(candidate, evaluation):
    """Red with `fit_operating(validation, None, ...)`: what shifted images say would then move nothing."""
    predictions = pd.read_parquet(candidate.predictions).query("split == 'validation'")
    shifted = pd.read_parquet(candidate.predictions.with_name("shifted.parquet"))
    both = fit_operating(predictions, shifted, Promotion().target_sensitivity)
    assert (evaluation.offset, evaluation.temperature, evaluation.threshold) == pytest.approx(both, rel=1e-6)
    assert both.offset != fit_operating(predictions, None, Promotion().target_sensitivity).offset
    for part, rows in (("validation", predictions), ("shifted", shifted)):
        probability = expit((rows["logit"] + both.offset) / both.temperature)
        called, ill = probability >= both.threshold, rows["label"] == "PNEUMONIA"
        assert evaluation.metrics[f"{part}_sensitivity"] == pytest.approx(called[ill].mean())
        bins = pd.DataFrame({"p": probability, "y": ill}).groupby((probability * 10).astype(int).clip(upper=9))
        error = sum(abs(one["p"].mean() - one["y"].mean()) * len(one) for _, one in bins) / len(rows)
        assert evaluation.metrics[f"{part}_calibration_error"] == pytest.approx(error)


def test_what_the_manifest_says_of_an_image_beside_its_label_is_part_of_the_key(
    candidate, dataset, home, evaluation, tmp_path
):
    version, store = dataset
    rows = pd.read_parquet(version.manifest)
    rows.assign(sex=["F", "M"] * (len(rows) // 2)).to_parquet(tmp_path / "manifest.parquet")
    told = version.model_copy(update={"manifest": tmp_path / "manifest.parquet"})
    assert "sex F" not in evaluation.slices
    assert {"sex F", "sex M"} <= set(evaluate(candidate, told, store, Promotion(), home).slices)
