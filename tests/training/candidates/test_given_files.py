import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from pneumo.settings.data import Data
from pneumo.training.candidates import given_files

WEIGHTS, EMBEDDINGS = "the pretrained weights of MobileNet 0.25", "the embeddings chexnet.parquet"


@pytest.fixture
def recipe(tmp_path):
    """A recipe with weights at two sizes and a file of embeddings."""
    for size in (128, 160):
        (tmp_path / f"MobileNet_0.25_{size}_no_top.weights.h5").write_bytes(b"one")
    write(tmp_path / "chexnet.parquet", 1.0)
    given = {"weights": str(tmp_path), "embeddings": [str(tmp_path / "chexnet.parquet")]}
    return {"preset": "standard", "backbones": ["MobileNet:0.25"], "image_size": 128, "search_minutes": 0, **given}


def write(path, value):
    parquet.write_table(pyarrow.table({"path": ["a", "b"], "embedding": np.full((2, 3), value).tolist()}), path)


def contents(recipe, home):
    return given_files.contents(recipe, False, home, Data())


def test_weights_and_embeddings_are_told_by_what_they_hold(recipe, tmp_path):
    before = contents(recipe, tmp_path)
    assert before.keys() == {WEIGHTS, EMBEDDINGS} and contents(recipe, tmp_path) == before
    (tmp_path / "MobileNet_0.25_128_no_top.weights.h5").write_bytes(b"other")
    changed = contents(recipe, tmp_path)
    assert [name for name in before if before[name] != changed[name]] == [WEIGHTS]
    write(tmp_path / "chexnet.parquet", 2.0)
    assert contents(recipe, tmp_path)[EMBEDDINGS] != before[EMBEDDINGS]


def test_weights_of_other_sizes_count_where_a_search_may_choose_them(recipe, tmp_path):
    searched = recipe | {"search_minutes": 1}
    before = [contents(item, tmp_path) for item in (recipe, searched)]
    (tmp_path / "MobileNet_0.25_160_no_top.weights.h5").write_bytes(b"other")
    after = [contents(item, tmp_path) for item in (recipe, searched)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


def test_what_cannot_be_read_now_has_no_digest(recipe, tmp_path):
    gone = {"weights": str(tmp_path / "nowhere"), "embeddings": [str(tmp_path / "nowhere.parquet")]}
    assert contents(recipe | gone, tmp_path) == {}
    assert contents(recipe | {"weights": "none", "embeddings": None}, tmp_path) == {}
