import numpy as np

from pneumo.evaluation.statistics.confident_learning import doubt


def test_a_label_is_suspect_where_the_other_class_is_as_sure_as_where_it_is_the_label():
    labels = np.array([True, True, True, False, False, False])
    probabilities = np.array([0.9, 0.9, 0.1, 0.3, 0.2, 0.7])
    # mean self-confidence: pneumonia (0.9 + 0.9 + 0.1) / 3 = 0.633, normal (0.7 + 0.8 + 0.3) / 3 = 0.6
    np.testing.assert_allclose(
        doubt(labels, probabilities), [0.1 - 0.6, 0.1 - 0.6, 0.9 - 0.6, 0.3 - 19 / 30, 0.2 - 19 / 30, 0.7 - 19 / 30]
    )


def test_a_class_of_which_the_model_is_seldom_sure_has_a_lower_limit():
    labels, probabilities = np.array([True, True, False, False]), np.array([0.95, 0.95, 0.45, 0.55])
    assert doubt(labels, probabilities)[3] < 0  # 0.55 is far from the 0.95 of pneumonia
    assert doubt(np.array([True, False, False]), np.array([0.4, 0.1, 0.45]))[2] > 0
