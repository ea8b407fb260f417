import numpy as np
import pandas as pd

from pneumo.data import similar
from pneumo.data.similar import near_pairs, shown_in


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


def test_a_picture_is_known_by_file_by_pixels_or_by_likeness():
    names = hashes(6)
    known = pd.DataFrame({"sha256": ["a", "b"], "pixels": ["p", "q"], "phash": names[:2]})
    rows = pd.DataFrame({
        "sha256": ["a", "x", "y", "z", "u"], "pixels": ["r", "q", "s", "t", None],
        "phash": [names[2], names[3], flipped(names[0], 9), names[4], None],
    })  # fmt: skip
    assert shown_in(rows, known).tolist() == [True, True, True, False, False]
    assert shown_in(rows, known[["sha256"]]).tolist() == [True, False, False, False, False]
