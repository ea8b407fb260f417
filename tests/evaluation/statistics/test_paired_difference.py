import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pneumo.errors import DataError
from pneumo.evaluation.statistics.paired_difference import compare, delong_covariance


def two_models(count: int = 120, seed: int = 0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    shared = random.normal(size=count) + 1.5 * labels
    first, second = (np.round(shared + random.normal(scale=scale, size=count), 1) for scale in (0.3, 1.0))
    return labels, first, second


def by_definition(labels, scores):
    """DeLong, DeLong and Clarke-Pearson (1988), equations 4 to 6, pair by pair."""
    placements = []
    for one in scores:
        above = one[labels][:, None] - one[~labels][None, :]
        wins = (above > 0) + 0.5 * (above == 0)
        placements.append((wins.mean(), wins.mean(axis=1), wins.mean(axis=0)))
    aucs, by_positive, by_negative = (np.array(item) for item in zip(*placements, strict=True))
    return aucs, np.cov(by_positive) / labels.sum() + np.cov(by_negative) / (~labels).sum()


def test_the_fast_algorithm_gives_delong_s_definition_with_ties():
    labels, first, second = two_models()
    aucs, covariance = delong_covariance(labels, np.stack([first, second]))
    expected_aucs, expected = by_definition(labels, np.stack([first, second]))
    np.testing.assert_allclose(aucs, expected_aucs)
    np.testing.assert_allclose(covariance, expected)
    np.testing.assert_allclose(aucs, [roc_auc_score(labels, first), roc_auc_score(labels, second)])


def test_a_better_model_is_found_better_by_both_ways():
    labels, first, second = two_models(600)
    found = compare(labels, first, second, np.arange(600))
    assert found.p_value < 0.001 and found.delong.low > 0 and found.bootstrap.low > 0
    np.testing.assert_allclose(
        [found.bootstrap.low, found.bootstrap.high], [found.delong.low, found.delong.high], atol=0.01
    )


def test_swapping_the_models_swaps_the_sign():
    labels, first, second = two_models()
    there, back = compare(labels, first, second, np.arange(120)), compare(labels, second, first, np.arange(120))
    assert there.delong.value == pytest.approx(-back.delong.value)
    assert there.p_value == pytest.approx(back.p_value)


def test_a_model_is_not_different_from_itself():
    labels, first, _ = two_models()
    found = compare(labels, first, first, np.arange(120))
    assert (found.p_value, found.delong.low, found.delong.high, found.bootstrap.value) == (1.0, 0.0, 0.0, 0.0)


def test_images_of_few_patients_make_the_paired_interval_wider():
    labels, first, second = (np.repeat(item, 4) for item in two_models(60))
    found = compare(labels, first, second, np.repeat(np.arange(60), 4))
    assert found.bootstrap.high - found.bootstrap.low > 1.5 * (found.delong.high - found.delong.low)


def test_too_few_images_and_unequal_lengths_are_refused():
    with pytest.raises(DataError, match="at least two images of each class to compare on, got 1 and 2"):
        compare([True, False, False], [1, 2, 3], [1, 2, 3], list("abc"))
    with pytest.raises(DataError, match=r"Expected a score for each of 3 images, got \(2,\)"):
        compare([True, False, False], [1, 2], [1, 2, 3], list("abc"))
