import io

import numpy as np
import pytest
from PIL import Image

from pneumo.data.image_statistics import statistics
from pneumo.data.quality.near_duplicates import DISTANCE


@pytest.fixture(scope="module")
def pictures(make):
    return np.stack([np.asarray(make.picture(seed, (224, 224))) for seed in range(5)])


def distance(first, second):
    return (int(first["phash"], 16) ^ int(second["phash"], 16)).bit_count()


def test_pictures_are_measured_alike_alone_and_together(pictures):
    assert statistics(pictures) == [statistics(one[None])[0] for one in pictures]


def test_intensities_are_those_of_every_pixel(pictures):
    for row, one in zip(statistics(pictures), pictures, strict=True):
        assert row["mean"] == pytest.approx(one.mean(), abs=0.01)
        assert row["std"] == pytest.approx(one.std(), abs=0.01)
        assert row["dark"] == pytest.approx((one < 16).mean(), abs=1e-4)
        assert row["bright"] == pytest.approx((one >= 240).mean(), abs=1e-4)
        assert row["histogram"] == pytest.approx(np.histogram(one, 32, (0, 256))[0] / one.size, abs=1e-5)


def test_a_blank_picture_has_no_spread_and_is_symmetric():
    (row,) = statistics(np.full((1, 224, 224), 90, np.uint8))
    assert (row["mean"], row["std"], row["border"], row["symmetry"], row["marker"]) == (90, 0, 90, 1, 0)


def test_the_border_is_the_outer_fourteenth():
    framed = np.full((1, 224, 224), 200, np.uint8)
    framed[:, 16:-16, 16:-16] = 10
    assert statistics(framed)[0]["border"] == 200


def test_symmetry_tells_a_mirrored_side_from_an_opposite_one():
    ramp = np.tile(np.arange(224, dtype=np.uint8), (1, 224, 1))
    assert statistics(ramp)[0]["symmetry"] == -1
    assert statistics(np.maximum(ramp, ramp[..., ::-1]))[0]["symmetry"] == 1


def test_a_marker_is_small_and_bright_and_not_in_the_middle(pictures):
    dark = pictures[:1] // 3
    marked, middle, large = dark.copy(), dark.copy(), dark.copy()
    marked[:, 6:18, 6:18] = 255
    middle[:, 110:122, 106:118] = 255
    large[:, :, :80] = 255
    assert statistics(marked)[0]["marker"] == pytest.approx(144 / 224**2, abs=1e-5)
    assert statistics(dark)[0]["marker"] == statistics(middle)[0]["marker"] == 0
    assert statistics(large)[0]["marker"] < 0.1


def texture(seed):
    """A picture with energy in every low frequency, as bones and tissue have."""
    small = np.random.default_rng(seed).integers(30, 220, (32, 32), dtype=np.uint8)
    return Image.fromarray(small).resize((224, 224), Image.Resampling.BICUBIC)


def test_a_picture_saved_again_keeps_its_perceptual_hash_and_another_has_another(make):
    again = Image.open(io.BytesIO(make.encoded(texture(1), quality=50)))
    brighter = texture(1).point(lambda value: min(255, value * 1.1))
    pictures = np.stack([np.asarray(image) for image in (texture(1), again, brighter, texture(2))])
    first, same, light, other = statistics(pictures)
    assert first["pixels"] != same["pixels"]
    assert distance(first, same) <= DISTANCE
    assert distance(first, light) <= DISTANCE
    assert distance(first, other) > 3 * DISTANCE
