import numpy as np
import pytest
from scipy.stats import binomtest

from pneumo.errors import DataError
from pneumo.evaluation.statistics.proportions import effective_size, share_interval


def everywhere(count):
    return np.ones(count, bool)


@pytest.mark.parametrize("hits", [0, 1, 37, 49, 50])
def test_with_one_image_per_patient_it_is_clopper_and_pearson_s(hits):
    found = share_interval(np.arange(50) < hits, everywhere(50), np.arange(50))
    expected = binomtest(hits, 50).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_all_and_none_have_an_interval_and_a_patient_then_counts_once():
    """Fifty images of ten patients, all found: as sure as ten of ten."""
    patients = np.repeat(np.arange(10), 5)
    expected = binomtest(10, 10).proportion_ci(method="exact")
    found = share_interval(everywhere(50), everywhere(50), patients)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, expected.low, 1.0))
    none = share_interval(~everywhere(50), everywhere(50), patients)
    assert (none.value, none.low, none.high) == pytest.approx((0.0, 0.0, 1 - expected.low))


def test_only_the_marked_images_and_their_patients_count():
    among = np.arange(40) < 10
    found = share_interval(np.arange(40) < 9, among, np.repeat(np.arange(20), 2))
    assert found == share_interval(np.arange(10) < 9, everywhere(10), np.repeat(np.arange(5), 2))
    with pytest.raises(DataError, match="Expected images to take a share of, got none among 40"):
        share_interval(among, ~everywhere(40), np.arange(40))


def test_images_that_agree_within_a_patient_are_worth_about_their_patients():
    random = np.random.default_rng(0)
    hits = np.where(random.random(200) < 0.9, 4, 0)
    assert 180 < effective_size(hits, np.full(200, 4)) < 210
    assert effective_size(random.binomial(4, 0.9, 200), np.full(200, 4)) > 600


def test_no_more_than_all_images_and_one_patient_is_one():
    assert effective_size([1, 1, 1, 1], [2, 2, 2, 2]) == 8
    assert effective_size([3], [4]) == 1


def test_the_interval_covers_the_truth_for_images_that_resemble_each_other():
    """400 sets of 60 patients with 1 to 5 images each; whether a patient's images are found has a beta distribution."""
    random, truth, covered = np.random.default_rng(1), 0.95, 0
    for _ in range(400):
        patients = np.repeat(np.arange(60), random.integers(1, 6, 60))
        chance = random.beta(3 * truth, 3 * (1 - truth), 60)[patients]
        found = share_interval(random.random(len(patients)) < chance, everywhere(len(patients)), patients)
        covered += found.low <= truth <= found.high
    assert covered >= 0.93 * 400


def test_few_patients_are_worth_less_than_their_design_effect_says():
    """Four patients with 10 images each, of which 9, 9, 8 and 10 are hits: they hardly differ, but they are four."""
    hits, images = [9, 9, 8, 10], [10] * 4
    variance = 4 / 3 * 2 / 40**2  # squares of hits less 0.9 of 10 sum to 2
    plain = 0.9 * 0.1 / 39 / variance * 40
    assert plain == pytest.approx(55.385, abs=0.001)
    assert effective_size(hits, images) == pytest.approx(plain * (2.02269 / 3.18245) ** 2, rel=1e-4)  # Student's t
