"""Images given to a model are read on every system."""

import os

import numpy as np

from pneumo.serving.bundle.inputs import read_images


def test_images_are_read_where_the_system_tells_no_cores_of_a_process(monkeypatch):
    """As macOS and Windows."""
    monkeypatch.delattr(os, "sched_getaffinity")
    found = read_images([np.full((8, 8), 200, np.uint8)], 8, "squash")
    assert found.errors == [None] and (found.images == 200).all()
