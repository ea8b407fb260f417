import numpy as np
import pytest

from pneumo.errors import TrainingError
from pneumo.training.networks.linear_head import fit_head


def features(count, seed):
    random = np.random.default_rng(seed)
    targets = (random.random(count) < 0.7).astype("float32")
    found = random.normal(0, 1, (count, 6)).astype("float32") * [1, 100, 1, 1, 1, 1] + 5
    found[:, 0] += 3 * targets
    return found.astype("float32"), targets


def test_it_separates_what_the_features_separate_on_their_own_scale():
    kernel, bias = fit_head(*features(300, 0), *features(100, 1))
    held_out, truth = features(200, 2)
    logits = (held_out @ kernel + bias)[:, 0]
    assert np.mean((logits > 0) == truth) > 0.88
    assert kernel.shape == (6, 1) and bias.shape == (1,) and kernel.dtype == np.float32


def test_classes_weigh_the_same_however_many_images_they_have():
    kernel, bias = fit_head(*features(2000, 0), *features(100, 1))
    held_out, truth = features(4000, 2)
    logits = (held_out @ kernel + bias)[:, 0]
    assert abs(np.mean(logits[truth == 1] > 0) - np.mean(logits[truth == 0] < 0)) < 0.04


def test_features_that_are_no_numbers_are_told():
    bad, targets = features(50, 0)
    bad[3, 2] = np.nan
    with pytest.raises(TrainingError, match="finite features"):
        fit_head(bad, targets, *features(50, 1))
