import numpy as np

from pneumo.data import similar
from pneumo.data.similar import near_pairs


def hashes(count, seed=0):
    return [np.random.default_rng([seed, n]).bytes(32).hex() for n in range(count)]


def flipped(hash_, bits):
    value = int(hash_, 16)
    for bit in range(bits):
        value ^= 1 << (bit * 7)
    return f"{value:064x}"


def test_pairs_within_the_distance_are_found_over_chunks(monkeypatch):
    monkeypatch.setattr(similar, "PAIRS", 100)
    names = hashes(60)
    names[41], names[55], names[7] = flipped(names[3], 20), flipped(names[3], 5), flipped(names[6], 21)
    assert near_pairs(names).tolist() == [[3, 41], [3, 55], [41, 55]]


def test_none_or_one_has_no_pairs():
    assert near_pairs([]).shape == (0, 2)
    assert near_pairs(hashes(1)).shape == (0, 2)
