import sys
from subprocess import run

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from pneumo.errors import DataError
from pneumo.evaluation.statistics.metrics import (
    auc_statistic,
    average_precision_statistic,
    f1_statistic,
    interval,
    operating_shares,
    resampled,
)


@pytest.fixture
def sample():
    """Labels and scores with ties, and weights of a resample."""
    random = np.random.default_rng(1)
    labels = random.random(200) < 0.3
    scores = np.round(random.normal(size=200) + labels, 1)
    weights = random.integers(0, 4, 200).astype(float)
    return labels, scores, weights


def test_auc_is_scikit_learn_s_with_ties_and_weights(sample):
    labels, scores, weights = sample
    got = auc_statistic(labels, scores)(np.stack([np.ones(200), weights]))
    expected = [roc_auc_score(labels, scores), roc_auc_score(labels, scores, sample_weight=weights)]
    np.testing.assert_allclose(got, expected)


def test_average_precision_is_scikit_learn_s_with_ties_and_weights(sample):
    labels, scores, weights = sample
    got = average_precision_statistic(labels, scores)(np.stack([np.ones(200), weights]))
    expected = [
        average_precision_score(labels, scores),
        average_precision_score(labels, scores, sample_weight=weights),
    ]
    np.testing.assert_allclose(got, expected)


def test_operating_measures_are_scikit_learn_s(sample):
    labels, scores, weights = sample
    called = scores > 0.5
    got = {
        name: weights[hits & among].sum() / weights[among].sum()
        for name, (hits, among) in operating_shares(labels, called).items()
    }
    arguments = {"y_true": labels, "y_pred": called, "sample_weight": weights}
    assert got["sensitivity"] == pytest.approx(recall_score(**arguments))
    assert got["specificity"] == pytest.approx(recall_score(**arguments, pos_label=False))
    assert got["ppv"] == pytest.approx(precision_score(**arguments))
    assert got["npv"] == pytest.approx(precision_score(**arguments, pos_label=False))
    assert f1_statistic(labels, called)(weights[None])[0] == pytest.approx(f1_score(**arguments))


def test_a_patient_s_images_stay_together_in_every_resample():
    patients = np.repeat(["a", "b", "c"], (3, 1, 4))
    weights = []

    def record(block):
        weights.append(block)
        return block[:, 0]

    resampled(record, patients, resamples=50)
    (block,) = weights
    assert (block[:, :3] == block[:, :1]).all() and (block[:, 4:] == block[:, 4:5]).all()
    assert (block[:, 0] + block[:, 3] + block[:, 4] == 3).all()


def test_fewer_patients_make_a_wider_interval(sample):
    labels, scores, _ = sample
    alone = interval(auc_statistic(labels, scores), np.arange(200))
    repeated = interval(
        auc_statistic(np.repeat(labels[:50], 4), np.repeat(scores[:50], 4)), np.repeat(np.arange(50), 4)
    )
    assert repeated.high - repeated.low > 1.3 * (alone.high - alone.low)


def test_the_interval_is_that_of_hanley_and_mcneil_for_independent_images():
    random = np.random.default_rng(2)
    labels = np.arange(600) < 300
    scores = random.normal(size=600) + 1.2 * labels
    found = interval(auc_statistic(labels, scores), np.arange(600))
    area = roc_auc_score(labels, scores)
    # Hanley and McNeil (1982), equations 1 and 2.
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 299 * (one - area**2) + 299 * (two - area**2)) / 300**2)
    np.testing.assert_allclose([found.low, found.high], [area - 1.96 * error, area + 1.96 * error], atol=0.006)


def test_the_same_seed_gives_the_same_interval_and_leaves_the_global_state(sample):
    labels, scores, _ = sample
    before = np.random.get_state()[1].tolist()
    statistic = auc_statistic(labels, scores)
    assert interval(statistic, np.arange(200), seed=3) == interval(statistic, np.arange(200), seed=3)
    assert np.random.get_state()[1].tolist() == before


def test_blocks_do_not_change_the_count_of_resamples(sample, monkeypatch):
    labels, scores, _ = sample
    monkeypatch.setattr("pneumo.evaluation.statistics.metrics._CELLS", 200 * 7)
    assert resampled(auc_statistic(labels, scores), np.arange(200), resamples=100).shape == (100,)


def test_one_class_is_refused():
    with pytest.raises(DataError, match="Expected images of both classes to measure on, got 4 images of one"):
        interval(auc_statistic([True] * 4, [1, 2, 3, 4]), np.arange(4))


def test_metrics_do_not_import_tensorflow():
    modules = [
        *("statistics.metrics", "statistics.calibration", "statistics.paired_difference", "measures"),
        *("robustness.slices", "robustness.shortcuts"),
    ]
    imports = "; ".join(f"import pneumo.evaluation.{name}" for name in modules)
    code = f"import sys; {imports}; print(sorted({{'tensorflow', 'keras', 'mlflow', 'matplotlib'}} & set(sys.modules)))"
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
