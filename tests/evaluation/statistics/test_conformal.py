import numpy as np
import pytest

from pneumo.evaluation.statistics.conformal import conformal_figures, fit_conformal, risk_coverage


def drawn(seed, count=2000, share=0.3, gap=2.0):
    random = np.random.default_rng(seed)
    labels = random.random(count) < share
    return labels, 1 / (1 + np.exp(-random.normal(np.where(labels, gap, -gap), 1.5)))


def test_the_limits_are_the_ranks_of_the_formula():
    """Of 9 healthy, coverage 0.8: rank ceil(10 * 0.8) = 8; of 4 ill: rank ceil(5 * 0.8) = 4, the last."""
    healthy, ill = np.arange(1, 10) / 20, np.array([0.9, 0.8, 0.7, 0.6])
    found = fit_conformal(np.repeat([False, True], [9, 4]), np.concatenate([healthy, ill]), 0.8)
    assert (found.normal_up_to, found.pneumonia_from) == (0.4, pytest.approx(0.6))


def test_each_class_has_the_coverage_that_was_fixed_on_new_images_of_the_same_kind():
    found = fit_conformal(*drawn(0), 0.9)
    labels, probabilities = drawn(1, 20000)
    figures = conformal_figures(labels, probabilities, probabilities >= 0.5, found)
    assert figures["coverage_normal"] == pytest.approx(0.9, abs=0.02)
    assert figures["coverage_pneumonia"] == pytest.approx(0.9, abs=0.02)


def test_uncertain_images_are_left_out_and_the_others_are_called_better():
    labels, probabilities = drawn(2, gap=0.7)
    called = probabilities >= 0.5
    figures = conformal_figures(labels, probabilities, called, fit_conformal(labels, probabilities, 0.95))
    assert 0.1 < figures["uncertain"] < 0.9
    assert figures["accuracy_where_certain"] > (called == labels).mean() + 0.05


def test_a_call_that_the_limits_contradict_is_uncertain():
    found = fit_conformal(*drawn(0), 0.9)
    assert found.uncertain(np.array([0.01, 0.01, 0.99]), np.array([False, True, True])).tolist() == [False, True, False]


def test_a_class_of_too_few_images_is_always_possible():
    found = fit_conformal(np.array([True, False, False]), np.array([0.9, 0.1, 0.2]), 0.95)
    assert (found.normal_up_to, found.pneumonia_from) == (1, 0)
    assert found.uncertain(np.array([0.01, 0.99]), np.array([False, True])).all()


def test_the_surest_images_come_first_in_the_curve():
    wrong, probabilities = np.array([True, False, False, True]), np.array([0.5, 0.99, 0.02, 0.6])
    called, risk = risk_coverage(wrong, probabilities, 0.5)
    np.testing.assert_allclose(called, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0, 1 / 3, 0.5])
