import numpy as np
import pytest
from scipy.special import expit

from pneumo.errors import DataError
from pneumo.evaluation.statistics.calibration import (
    brier_score,
    calibration_error,
    calibration_slope,
    fit_calibration,
    pick_threshold,
    probability,
)


def calibrated(count: int = 4000, seed: int = 0):
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=count)
    return random.random(count) < expit(logits), logits


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_factor_on_the_logits(factor):
    labels, logits = calibrated()
    assert fit_calibration(labels, factor * logits)[1] == pytest.approx(factor, rel=0.1)


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (2.0, -3.0), (0.5, 1.0)])
def test_the_offset_puts_even_odds_at_zero_whatever_the_temperature(factor, offset):
    labels, logits = calibrated()
    assert fit_calibration(labels, factor * logits - offset)[0] == pytest.approx(offset, abs=0.1 * factor)


def test_offset_and_temperature_calibrate_what_no_temperature_could_alone():
    labels, logits = calibrated()
    moved = 0.5 * logits - 2
    offset, temperature = fit_calibration(labels, moved)
    alone = min(brier_score(labels, probability(moved, scale)) for scale in np.geomspace(0.05, 20, 50))
    both = probability(moved, temperature, offset)
    assert alone > 1.3 * brier_score(labels, both) and calibration_error(labels, both) < 0.03


def test_an_offset_of_separable_images_lies_between_them():
    labels = np.arange(30) < 20
    assert -5 < fit_calibration(labels, np.where(labels, 5.0, -5.0))[0] < 5


def test_separable_images_do_not_make_the_model_sure_of_everything():
    labels = np.arange(20) < 10
    offset, temperature = fit_calibration(labels, np.where(labels, 5.0, -5.0))
    assert probability(np.array([5.0]), temperature, offset)[0] == pytest.approx(11 / 12, abs=0.01)


def test_slope_is_one_when_calibrated_and_halves_when_twice_too_sure():
    labels, logits = calibrated()
    assert calibration_slope(labels, logits) == pytest.approx(1, rel=0.1)
    assert calibration_slope(labels, 2 * logits) == pytest.approx(calibration_slope(labels, logits) / 2, rel=1e-3)


def test_slope_does_not_exist_when_the_classes_are_apart():
    assert calibration_slope([False, False, True, True], [-2, -1, 1, 2]) is None
    assert calibration_slope([True, True], [1, 2]) is None


def test_calibration_error_is_the_mean_gap_of_bins():
    # Bin 0.2 to 0.3: mean 0.25, share 0.5, gap 0.25; bin 0.9 to 1: mean 0.95, share 1, gap 0.05.
    assert calibration_error([0, 1, 1, 1], [0.25, 0.25, 0.95, 0.95]) == pytest.approx((2 * 0.25 + 2 * 0.05) / 4)
    assert calibration_error([0, 1], [0.0, 1.0]) == 0


def test_brier_is_scikit_learn_s():
    from sklearn.metrics import brier_score_loss

    labels, logits = calibrated(100)
    assert brier_score(labels, expit(logits)) == pytest.approx(brier_score_loss(labels, expit(logits)))


@pytest.mark.parametrize("target", [0.5, 0.9, 0.95, 0.99])
def test_the_threshold_is_the_highest_that_reaches_the_target(target):
    random = np.random.default_rng(3)
    labels = random.random(300) < 0.5
    scores = np.round(expit(random.normal(size=300) + 1.5 * labels), 2)  # with ties
    threshold = pick_threshold(labels, scores, target)
    sensitivity = (scores[labels] >= threshold).mean()
    assert sensitivity >= target
    higher = min(scores[scores >= threshold].min() + 0.001, 1)
    assert (scores[labels] >= higher).mean() < target
    assert threshold not in scores


def test_a_target_that_some_positives_reach_exactly_is_met_by_them():
    scores = np.linspace(0.9, 0.1, 20)  # nineteen of twenty are 95 %
    labels = np.r_[np.ones(20, bool), np.zeros(1, bool)]
    assert (scores >= pick_threshold(labels, np.r_[scores, 0.0], 0.95)).sum() == 19


def test_a_target_that_only_calling_everything_reaches_is_reached():
    labels, scores = [True, False, False], [0.1, 0.5, 0.9]
    assert pick_threshold(labels, scores, 0.99) <= 0.1


def test_one_class_is_refused():
    for fit in (lambda: fit_calibration([True] * 3, [1, 2, 3]), lambda: pick_threshold([False] * 3, [0, 0, 1], 0.9)):
        with pytest.raises(DataError, match="Expected validation images of both classes, got 3 of one"):
            fit()
