import numpy as np
import pytest

from pneumo.training.shift import SHIFTS, mixture, shifted


@pytest.fixture
def pixels(images):
    return images.pixels[:6]


@pytest.mark.parametrize("name", SHIFTS)
def test_each_shift_changes_every_image_and_keeps_its_form(pixels, name):
    found = shifted(pixels, name)
    assert found.shape == pixels.shape and found.dtype == np.uint8
    assert all((new != old).any() for new, old in zip(found, pixels, strict=True))
    assert np.array_equal(found, shifted(pixels, name))


def test_directions_of_the_shifts(pixels):
    assert shifted(pixels, "over-exposed").mean() > pixels.mean() > shifted(pixels, "under-exposed").mean()
    assert shifted(pixels, "low contrast").std() < pixels.std()
    roughness = [np.abs(np.diff(group.astype(int), axis=1)).mean() for group in (shifted(pixels, "blur"), pixels)]
    assert roughness[0] < roughness[1]


def test_markers_in_the_corners_are_gone(pixels):
    marked = pixels.copy()
    marked[:, :3, :3] = 255
    assert shifted(marked, "markers")[:, :3, :3].max() < 255


def test_a_mixture_puts_each_image_under_its_own_shift(pixels):
    kinds = ["blur", "gamma", "jpeg", "markers", "scale", "low contrast"]
    found = mixture(pixels, kinds)
    for image, old, kind in zip(found, pixels, kinds, strict=True):
        assert np.array_equal(image, shifted(old[None], kind)[0])
