"""The figures of a model of embeddings: all that predictions give, and plain words for what they do not."""

import json

import numpy as np
import pandas as pd
import pytest

from pneumo.data.sources.embeddings import bring_in
from pneumo.errors import ModelError
from pneumo.evaluation.evaluate import evaluate
from pneumo.evaluation.external.validation import evaluate_external
from pneumo.serving.bundle.embedding_bundle import EmbeddingBundle
from pneumo.serving.bundle.image_bundle import load_bundle
from pneumo.settings.data import Data
from pneumo.settings.promotion import Promotion
from pneumo.training.candidates.linear_probe import train_linear

WIDTH = 5


@pytest.fixture(scope="module")
def vectors(dataset, tmp_path_factory):
    rows = pd.read_parquet(dataset[0].manifest)
    values = np.random.default_rng(1).normal(0, 1, (len(rows), WIDTH)).astype("float32")
    values[:, 0] += 2 * (rows["label"] == "PNEUMONIA").to_numpy()
    folder = tmp_path_factory.mktemp("vectors")
    pd.DataFrame({"path": rows["path"], "embedding": values.tolist()}).to_parquet(folder / "dino.parquet")
    return bring_in([str(folder)], dataset[0], folder, Data())[0]


@pytest.fixture(scope="module")
def candidate(vectors, dataset, tmp_path_factory):
    return train_linear(vectors, dataset[0], "run", tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def evaluation(candidate, vectors, dataset, tmp_path_factory):
    return evaluate(candidate, dataset[0], vectors, Promotion(), tmp_path_factory.mktemp("evaluated"))


def test_what_predictions_give_is_measured(evaluation):
    assert 0.5 < evaluation.test_auc.low < evaluation.test_auc.value < evaluation.test_auc.high
    assert evaluation.metrics["validation_sensitivity"] >= 0.95
    assert "test_calibration_error" in evaluation.metrics and evaluation.slices
    figures = sorted(path.stem for path in evaluation.bundle.with_name("figures").iterdir())
    assert figures == ["confusion", "precision_recall", "reliability", "risk_coverage", "roc"]


def test_what_needs_images_is_said_to_be_unmeasured_and_has_no_number(evaluation):
    assert evaluation.selection_score is None
    assert not [name for name in evaluation.metrics if "shortcut" in name or "shift" in name]
    assert json.loads(evaluation.bundle.with_name("metrics.json").read_text())["shortcuts"] == []
    assert len([line for line in evaluation.unmeasured if "not measured" in line]) == 3
    assert "of the linear model alone" in evaluation.unmeasured[-1]
    assert evaluation.metrics["latency_ms"] < 500


def test_the_bundle_is_of_its_own_kind_and_scores_as_the_predictions_say(evaluation, vectors, candidate):
    from pneumo.data.sources.embeddings import vectors_of

    bundle = load_bundle(evaluation.bundle)
    assert isinstance(bundle, EmbeddingBundle) and bundle.spec.width == WIDTH
    rows = pd.read_parquet(candidate.predictions)
    scores = bundle.score(vectors_of(vectors.path, rows["sha256"]))
    np.testing.assert_allclose(scores.probability, bundle.probability(rows["logit"].to_numpy()), atol=1e-5)
    assert scores.out_of_distribution.mean() < 0.2
    assert bundle.score(np.full((1, WIDTH), 50.0)).out_of_distribution.all()


def test_a_model_that_does_not_score_as_its_predictions_say_is_refused(candidate, vectors, dataset, tmp_path):
    rows = pd.read_parquet(candidate.predictions)
    rows.assign(logit=-rows["logit"]).to_parquet(tmp_path / "wrong.parquet")
    wrong = candidate.model_copy(update={"key": "wrong", "predictions": tmp_path / "wrong.parquet"})
    with pytest.raises(ModelError, match="do not belong together; train it again"):
        evaluate(wrong, dataset[0], vectors, Promotion(), tmp_path)


def test_images_from_elsewhere_are_not_scored_by_it(evaluation, inventory, tmp_path):
    with pytest.raises(ModelError, match="a model of images for elsewhere, but linear on dino takes embeddings"):
        evaluate_external(evaluation, inventory, tmp_path)
