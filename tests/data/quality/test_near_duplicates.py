import numpy as np
import pandas as pd

from pneumo.data.quality.near_duplicates import DISTANCE, near_pairs, picture_numbers, seen_in, shown_in


def hashes(count, seed=0):
    return [np.random.default_rng([seed, n]).bytes(32).hex() for n in range(count)]


def flipped(hash_, bits):
    value = int(hash_, 16)
    for bit in range(bits):
        value ^= 1 << (bit * 7)
    return f"{value:064x}"


def test_the_pairs_are_those_of_comparing_every_two():
    random = np.random.default_rng(1)
    names = hashes(60)
    for number in range(20, 60):
        names[number] = flipped(names[random.integers(20)], int(random.integers(0, DISTANCE + 6)))
    distances = [
        [(int(first, 16) ^ int(second, 16)).bit_count() for second in names[:place]]
        for place, first in enumerate(names)
    ]
    expected = [
        [small, large] for large, row in enumerate(distances) for small, far in enumerate(row) if far <= DISTANCE
    ]
    assert len(expected) > 20
    assert near_pairs(names).tolist() == sorted(expected)


def test_identical_and_almost_identical_pictures_are_one_look_by_way_of_others_too():
    first, other = hashes(2)
    second = flipped(first, DISTANCE)
    third = f"{int(second, 16) ^ (2**DISTANCE - 1 << 128):064x}"
    rows = pd.DataFrame({"pixels": ["a", "b", "a", "d", "c"], "phash": [first, second, first, other, third]})
    assert near_pairs([first, third]).size == 0
    assert picture_numbers(rows).tolist() == [0, 0, 0, 1, 0]


def test_a_copy_a_picture_of_other_bytes_and_an_almost_identical_one_are_seen_in_another_set():
    first, second, third, new = hashes(4)
    known = pd.DataFrame(
        {"path": ["a", "b", "c"], "sha256": ["1", "2", "3"], "pixels": ["A", "B", "C"], "phash": [first, second, third]}
    )
    rows = pd.DataFrame(
        {
            "path": ["broken copy", "other bytes", "saved again", "new", "broken"],
            "sha256": ["1", "22", "33", "44", "55"],
            "pixels": [None, "B", "C2", "D", None],
            "phash": [None, second, flipped(third, DISTANCE), new, None],
        }
    )
    assert seen_in(rows, known) == {"broken copy": "a", "other bytes": "b", "saved again": "c"}
    assert seen_in(rows[-1:], known) == {}


def test_none_or_one_has_no_pairs():
    assert near_pairs([]).shape == (0, 2)
    assert near_pairs(hashes(1)).shape == (0, 2)


def test_a_picture_is_known_by_file_by_pixels_or_by_likeness():
    names = hashes(6)
    known = pd.DataFrame({"path": ["1", "2"], "sha256": ["a", "b"], "pixels": ["p", "q"], "phash": names[:2]})
    rows = pd.DataFrame({
        "path": ["3", "4", "5", "6", "7"],
        "sha256": ["a", "x", "y", "z", "u"], "pixels": ["r", "q", "s", "t", None],
        "phash": [names[2], names[3], flipped(names[0], DISTANCE), names[4], None],
    })  # fmt: skip
    assert shown_in(rows, known).tolist() == [True, True, True, False, False]
    assert shown_in(rows, known[["sha256"]]).tolist() == [True, False, False, False, False]
