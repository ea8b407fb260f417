import numpy as np
import pytest

from pneumo.evaluation.robustness.simulated_shift import SHIFTS, UNSEEN, mixture
from pneumo.training.augmentation import transforms

FAMILIES = SHIFTS | UNSEEN


@pytest.fixture
def pixels(images):
    return images.pixels[:6]


def shifted(pixels, name, seed=0):
    return mixture(pixels, [name] * len(pixels), seed, FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_shift_changes_every_image_and_keeps_its_form(pixels, name):
    found = shifted(pixels, name)
    assert found.shape == pixels.shape and found.dtype == np.uint8
    assert all((new != old).any() for new, old in zip(found, pixels, strict=True))
    assert np.array_equal(found, shifted(pixels, name))


def test_what_recipes_are_compared_by_is_not_what_candidates_are_chosen_by():
    assert not set(SHIFTS) & set(UNSEEN)


def test_directions_of_the_shifts(pixels):
    def roughness(images):
        return np.abs(np.diff(images.astype(int), axis=1)).mean()

    assert roughness(shifted(pixels, "local contrast")) > roughness(pixels) > roughness(shifted(pixels, "hazy"))
    assert all(len(np.unique(image)) <= 17 < len(np.unique(pixels)) for image in shifted(pixels, "posterised"))
    assert shifted(pixels, "overlaid").max() > pixels.max()


def test_an_uneven_field_is_brighter_on_one_side_and_as_bright_on_the_whole(pixels):
    plain = np.full_like(pixels, 100)
    field = shifted(plain, "uneven field").astype(float)
    assert np.ptp(field.mean(axis=(0))) > 20 and abs(field.mean() - 100) < 2


def test_a_mixture_puts_each_image_under_its_own_shift(pixels):
    kinds = ["local contrast", "equalised", "local contrast", "equalised", "equalised", "equalised"]
    found = mixture(pixels, kinds, families=FAMILIES)
    equal = shifted(pixels, "equalised")  # which draws nothing
    same = [np.array_equal(image, other) for image, other in zip(found, equal, strict=True)]
    assert same == [kind == "equalised" for kind in kinds]


def test_crops_show_a_part_of_the_image_and_nothing_beyond_it():
    size, count = 64, 200
    drawn = transforms.draw(np.random.default_rng(0), count, size, 0.0, crop=0.5)
    first, last = drawn[:, [2, 5]], drawn[:, [2, 5]] + drawn[:, [0, 4]] * (size - 1)
    assert first.min() >= -0.51 and last.max() <= size - 0.49
    area = drawn[:, 0] * drawn[:, 4]
    assert area.min() > 0.4 and area.max() <= 1 and np.ptp(area) > 0.3
    whole = transforms.draw(np.random.default_rng(0), count, size, 0.0)
    assert np.allclose(whole[:, [0, 4]], 1) and np.allclose(whole[:, [2, 5]], 0)
