import numpy as np
import pytest

from pneumo.evaluation.robustness.shortcuts import (
    border_alone,
    corners_masked,
    lungs_masked,
    marker_removed,
    try_shortcuts,
)

SIZE = 64


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(60, 120, (40, SIZE, SIZE), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.arange(40) % 2 == 0


def probe(images, labels, score):
    rows = try_shortcuts(images, score(images), labels, np.arange(40), score)
    return {row.name: row for row in rows}


def test_a_model_that_reads_the_border_is_found_out(images, labels):
    images[labels, :4] = 200
    found = probe(images, labels, lambda x: x[:, :4].mean(axis=(1, 2)))
    assert found["border alone"].auc.value == 1
    assert found["border alone"].warning.startswith("AUC 1.000 with border alone, expected at most 0.70")
    assert found["lungs masked"].warning and not found["corners masked"].warning


def test_a_model_that_reads_a_marker_falls_without_it(images, labels):
    images[labels, 3:6, 3:6] = 255
    found = probe(images, labels, lambda x: x.max(axis=(1, 2)).astype(float))
    assert found["as it is"].auc.value == 1
    for name in ("corners masked", "marker removed"):
        assert found[name].auc.value < 0.8 and "the model relies on what was removed" in found[name].warning


def test_a_model_that_reads_the_lungs_is_not_suspected(images, labels):
    images[labels, 20:36, 14:24] = 200
    found = probe(images, labels, lambda x: x[:, 20:36, 14:24].mean(axis=(1, 2)))
    assert not [row.warning for row in found.values() if row.warning]


def test_changes_leave_the_given_images_alone(images):
    before = images.copy()
    for change in (border_alone, lungs_masked, corners_masked, marker_removed):
        changed = change(images)
        assert changed.shape == images.shape and changed.dtype == np.uint8
        np.testing.assert_array_equal(images, before)


def test_masks_take_what_they_say(images):
    middle = SIZE // 2
    assert not border_alone(images)[:, middle, middle].any() and border_alone(images)[:, 0].all()
    assert not lungs_masked(images)[:, middle, [int(0.29 * SIZE), int(0.71 * SIZE)]].any()
    assert lungs_masked(images)[:, middle, middle].all() and lungs_masked(images)[:, :5].all()
    assert not corners_masked(images)[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert corners_masked(images)[:, middle].all()
