import numpy as np
import pytest

from pneumo.training.augmentation import transforms


def change(images, strength, seed=1):
    drawn = transforms.draw(np.random.default_rng(seed), len(images), images.shape[1], strength)
    return np.asarray(transforms.apply(images[..., None].astype("float32"), drawn))[..., 0]


@pytest.fixture
def batch(images):
    return images.pixels[:8]


def test_what_is_drawn_depends_on_the_generator_alone():
    first, again = (transforms.draw(np.random.default_rng(7), 5, 32, 1.0) for _ in range(2))
    other = transforms.draw(np.random.default_rng(8), 5, 32, 1.0)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.shape == (5, transforms.COLUMNS) and first.dtype == np.float32


def test_drawing_leaves_the_global_random_state_alone():
    state = np.random.get_state()[1].copy()
    transforms.draw(np.random.default_rng(7), 5, 32, 1.0)
    assert np.array_equal(np.random.get_state()[1], state)


def test_the_same_parameters_change_images_the_same_way(batch):
    assert np.array_equal(change(batch, 1.0), change(batch, 1.0))


def test_strength_nought_changes_nothing(batch):
    np.testing.assert_allclose(change(batch, 0.0), batch, atol=0.05)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
def test_changed_images_stay_gray_values(batch, strength):
    found = change(batch, strength)
    assert found.shape == batch.shape
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 255


def test_more_strength_changes_more(batch):
    little, much = (np.abs(change(batch, strength) - batch).mean() for strength in (0.3, 1.5))
    assert 0 < little < much


def test_an_image_gets_the_tone_of_another_part_of_the_way(batch):
    dark = np.full((1, 32, 32), 20, "uint8")
    dark[:, ::2] = 60
    others = transforms.cumulative_histograms(dark)
    images = batch.repeat(4, axis=0)
    found = {strength: transforms.match_histograms(np.random.default_rng(0), images, strength, others)
             for strength in (0.6, 1.0)}  # fmt: skip
    changed = {strength: (matched != images).any(axis=(1, 2)) for strength, matched in found.items()}
    assert 0.2 < changed[0.6].mean() < 1 and changed[1.0].all()
    assert found[1.0].mean() < batch.mean()


def test_a_tone_of_its_own_changes_an_image_hardly_and_keeps_the_order_of_grays(batch):
    found = transforms.match_histograms(
        np.random.default_rng(0), batch[:1], 1.0, transforms.cumulative_histograms(batch[:1])
    )
    assert np.abs(found.astype(int) - batch[:1]).max() <= 2
    moved = transforms.match_histograms(
        np.random.default_rng(3), batch[:1], 1.0, transforms.cumulative_histograms(batch[1:2])
    )
    assert (np.diff(moved.ravel()[np.argsort(batch[:1].ravel(), kind="stable")].astype(int)) >= 0).all()


def test_strength_nought_leaves_the_tone_alone(batch):
    assert np.array_equal(
        transforms.match_histograms(
            np.random.default_rng(0), batch, 0.0, transforms.cumulative_histograms(batch[::-1])
        ),
        batch,
    )


def test_left_stays_left():
    """The heart is on the left: nothing is mirrored, however strong the change."""
    images = np.zeros((64, 32, 32), "uint8")
    images[:, :, :16] = 200
    found = change(images, 1.0)
    assert (found[:, :, :16].mean(axis=(1, 2)) > found[:, :, 16:].mean(axis=(1, 2))).all()


def test_smoothing_is_the_mean_of_the_neighbourhood():
    image = np.zeros((1, 9, 9, 1), "float32")
    image[0, 4, 4] = 25
    found = np.asarray(transforms._smooth(image))[0, ..., 0]
    assert np.allclose(found[2:7, 2:7], 1) and np.isclose(found.sum(), 25)
