import os

import numpy as np
import pytest

from pneumo.errors import TrainingError
from pneumo.training.process import checkpoint


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run" / "checkpoint.npz"


ARRAYS = {"network": [np.arange(3.0), np.ones((2, 2))], "best": [np.zeros(1)]}


def test_what_was_saved_comes_back(file):
    checkpoint.save(file, ARRAYS, {"epoch": 2, "score": 0.9})
    arrays, state = checkpoint.load(file)
    assert state == {"epoch": 2, "score": 0.9}
    assert {name: len(group) for name, group in arrays.items()} == {"network": 2, "best": 1}
    assert all(map(np.array_equal, arrays["network"], ARRAYS["network"]))


def test_more_than_ten_arrays_keep_their_order(file):
    checkpoint.save(file, {"network": [np.full(1, number) for number in range(25)]}, {})
    assert [int(array[0]) for array in checkpoint.load(file)[0]["network"]] == list(range(25))


def test_a_score_of_minus_infinity_survives(file):
    checkpoint.save(file, {}, {"score": -np.inf})
    assert checkpoint.load(file)[1]["score"] == -np.inf


def test_there_is_none_before_the_first(file):
    assert checkpoint.load(file) is None


def test_a_kill_while_writing_leaves_the_old_one(file, monkeypatch):
    checkpoint.save(file, ARRAYS, {"epoch": 1})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(file, ARRAYS, {"epoch": 2})
    assert checkpoint.load(file)[1]["epoch"] == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken"])
def test_a_damaged_file_is_named(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(TrainingError, match=r"checkpoint\.npz.*remove it"):
        checkpoint.load(file)


def test_variables_are_copied_and_put_back():
    import keras

    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    before = checkpoint.values(layer.variables)
    layer.kernel.assign(np.zeros((3, 2)))
    assert before[0].any()
    checkpoint.assign(layer.variables, before)
    assert np.array_equal(checkpoint.values(layer.variables)[0], before[0])
