import numpy as np
import pytest

from pneumo.training.augmentation.artefacts import add_artefacts


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(60, 200, (200, 64, 64)).astype("uint8")


def test_a_part_of_the_images_is_changed_and_all_keep_their_form(pixels):
    found = add_artefacts(np.random.default_rng(1), pixels, 1.0)
    assert found.shape == pixels.shape and found.dtype == np.uint8
    changed = (found != pixels).any(axis=(1, 2)).mean()
    assert 0.7 < changed < 0.95  # of four kinds, each on its own share


def test_strength_nothing_changes_nothing(pixels):
    assert np.array_equal(add_artefacts(np.random.default_rng(1), pixels, 0.0), pixels)


def test_the_middle_of_the_image_is_never_covered(pixels):
    found = add_artefacts(np.random.default_rng(2), pixels, 1.0)
    middle = slice(16, 48)
    kept = found[:, middle, middle].astype(float).mean(axis=(1, 2)) - pixels[:, middle, middle].mean(axis=(1, 2))
    assert np.abs(kept).max() < 4  # JPEG and fewer pixels keep the mean, a covered part would not
    assert (found[:, 0, 0] == 0).any() and (found[:, :2].max(axis=(1, 2)) == 0).any()


def test_the_same_generator_gives_the_same_images_and_the_originals_stay(pixels):
    before = pixels.copy()
    first, second = (add_artefacts(np.random.default_rng(3), pixels, 1.5) for _ in range(2))
    assert np.array_equal(first, second) and np.array_equal(pixels, before)
