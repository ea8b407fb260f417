"""A picture was seen before by its file, by its look, or by its patient; each of them, and through one another."""

import numpy as np
import pandas as pd

from pneumo.data.quality.near_duplicates import DISTANCE
from pneumo.data.quality.seen_before import seen_before, told_patients

HASHES = [np.random.default_rng(number).bytes(32).hex() for number in range(9)]


def row(name, patient, sha256, pixels, look, known=True):
    return {
        "path": f"{name}.png", "patient": patient, "sha256": sha256, "pixels": pixels, "phash": look,
        "patient_known": known,
    }  # fmt: skip


def table(*rows):
    return pd.DataFrame([row(*values) for values in rows])


KNOWN = table(("a", "anna", "1", "A", HASHES[0]), ("b", "b", "2", "B", HASHES[1], False))
NEAR = f"{int(HASHES[1], 16) ^ (2**DISTANCE - 1):064x}"
ROWS = table(
    ("copy", "x1", "1", None, None),
    ("other bytes", "x2", "11", "A", HASHES[0]),
    ("saved again", "berta", "22", "B2", NEAR),
    ("the patient's other", "anna", "33", "C", HASHES[2]),
    ("who shares a picture", "berta", "44", "D", HASHES[3]),
    ("a stranger", "carla", "55", "E", HASHES[4]),
    ("b", "b", "66", "F", HASHES[5], False),
    ("unreadable", "dora", "77", None, None),
)


def test_a_file_a_picture_and_a_patient_are_each_known_again():
    assert seen_before(ROWS, KNOWN).tolist() == [True] * 5 + [False] * 3


def test_what_older_manifests_lack_is_not_compared_by():
    old = KNOWN.drop(columns=["pixels", "phash", "patient_known"])
    assert seen_before(ROWS, old).tolist() == [True, False, False, True, False, False, False, False]
    mixed = pd.concat([old, KNOWN[1:]], ignore_index=True)
    assert seen_before(ROWS, mixed).tolist() == [True, False, True, True, True, False, False, False]
    bare = ROWS.drop(columns=["pixels", "phash"])
    assert seen_before(bare, KNOWN).tolist() == [True, False, False, True, False, False, False, False]


def test_nothing_is_seen_where_nothing_is_known():
    assert not seen_before(ROWS, KNOWN[:0]).any() and seen_before(ROWS[:0], KNOWN).shape == (0,)


def test_a_patient_that_is_called_after_a_file_is_nobody_s():
    rows = ROWS.drop(columns="patient_known")
    assert told_patients(rows).isna().tolist() == [False] * 6 + [True, False]


def test_files_that_could_not_be_read_are_not_one_another():
    known = table(("c", "frank", "", None, None))
    rows = table(("d", "emil", "", None, None), ("e", "emil", "88", "G", HASHES[6]))
    assert seen_before(rows, known).tolist() == [False, False]


def test_a_manifest_of_before_tells_no_identifier_without_its_issuer_and_is_known_by_one():
    ours = table(("a", "bare", "1", "A", HASHES[0])).drop(columns=["pixels", "phash"])
    theirs = table(("b", "issued", "2", "B", HASHES[1])).drop(columns=["pixels", "phash"]).assign(unissued="bare")
    assert seen_before(theirs, ours).tolist() == [True] and seen_before(ours, theirs).tolist() == [True]
    assert seen_before(theirs, ours.assign(patient="other")).tolist() == [False]
