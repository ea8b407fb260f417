import hashlib

import pytest

from pneumo.data.sources import phantom
from pneumo.errors import DataError


def test_the_same_set_is_drawn_twice(tmp_path):
    folders = [phantom.draw(tmp_path / name, 40) for name in ("one", "two")]
    first, second = (
        {path.relative_to(root): hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*.jpeg")}
        for root in folders
    )
    assert first == second
    assert len(first) >= 39


def test_too_few_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least 40 phantom images, but 5"):
        phantom.draw(tmp_path, 5)
