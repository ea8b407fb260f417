"""Images given to a model are read on every system."""

import os

import numpy as np

from pneumo.serving.bundle.inputs import read_images

STRIPES = np.tile(np.array([20, 200], np.uint8), (8, 4))


def test_images_are_read_where_the_system_tells_no_cores_of_a_process(monkeypatch):
    """As macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity")
    found = read_images([STRIPES], 8, "squash")
    assert found.errors == [None] and (found.images == STRIPES).all()


def test_a_blank_image_is_an_error_and_not_a_diagnosis():
    found = read_images([np.full((8, 8), 0, np.uint8), STRIPES, np.full((1, 1), 255, np.uint8)], 8, "squash")
    assert [error is None for error in found.errors] == [False, True, False]
    assert "row 0 is blank" in str(found.errors[0]) and found.rows.tolist() == [1]


def test_an_image_that_came_alone_has_no_row_and_its_error_says_what_to_do():
    (error,) = read_images([b"no image"], 8, "squash").errors
    assert error == (
        "Expected a whole JPEG, PNG or DICOM image, but this image cannot be decoded (its content is of another kind):"
        " export it again, or take it out."
    )
    (later,) = read_images([b"no image"], 8, "squash", first=256).errors
    assert "row 256 cannot" in str(later)
