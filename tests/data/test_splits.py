import hashlib

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumo.data.splits import TEST_SHARE, VALIDATION_SHARE, assign_splits, position_of
from pneumo.errors import DataError


def manifest(patients: dict[str, str], images: int = 2, split: str = "train") -> pd.DataFrame:
    """Rows for patients by label; every picture is another one."""
    rows = [
        {
            "path": f"{patient}-{image}",
            "label": label,
            "subtype": "none" if label == "NORMAL" else patient.split("-")[0],
            "patient": patient,
            "pixels": f"{patient}-{image}",
            "phash": hashlib.sha256(f"{patient}-{image}".encode()).hexdigest(),
            "split": split,
        }
        for patient, label in patients.items()
        for image in range(images)
    ]
    return pd.DataFrame(rows)


def people(count: int) -> dict[str, str]:
    names = {"NORMAL": "IM-{}", "bacteria": "bacteria-{}", "virus": "virus-{}"}
    return {
        name.format(number): kind if kind == "NORMAL" else "PNEUMONIA"
        for number in range(count)
        for kind, name in names.items()
    }


def test_shares_hold_in_every_stratum():
    rows = manifest(people(1000))
    rows["new"] = assign_splits(rows)
    shares = pd.crosstab(rows["subtype"], rows["new"], normalize="index")
    assert ((shares - [0.15, 0.70, 0.15]).abs() < 0.03).all(axis=None)


def test_a_patient_who_is_taken_out_for_a_rare_kind_is_out_with_all_images():
    """In its own stratum the nearest to the ends are taken where the share would be empty; they are ill and healthy."""
    names = {position_of(f"IM-{number}"): f"IM-{number}" for number in range(400)}
    inner = [names[place] for place in sorted(names) if VALIDATION_SHARE < place < 1 - TEST_SHARE][:3]
    both = manifest(dict.fromkeys(inner, "PNEUMONIA"), images=1).assign(subtype="virus")
    rows = pd.concat([manifest(people(200)), both, manifest(dict.fromkeys(names.values(), "NORMAL"))])
    rows = rows[(rows["subtype"] != "virus") | rows["patient"].isin(inner)].reset_index(drop=True)
    rows["path"] = rows["pixels"] = [str(number) for number in range(len(rows))]
    rows["phash"] = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(len(rows))]
    split = assign_splits(rows)
    assert set(split[rows["subtype"] == "virus"]) == {"train", "validation", "test"}
    assert (split.groupby(rows["patient"]).nunique() == 1).all()


def test_own_test_folder_stays_and_nothing_is_added_to_it():
    rows = pd.concat([manifest(people(60)), manifest({"IM-900": "NORMAL", "virus-901": "PNEUMONIA"}, split="test")])
    rows = rows.reset_index(drop=True)
    split = assign_splits(rows)
    assert (split[rows["split"] == "test"] == "test").all()
    assert set(split[rows["split"] != "test"]) == {"train", "validation"}


@settings(max_examples=40, deadline=None)
@given(st.integers(25, 60), st.integers(0, 60), st.booleans())
def test_no_patient_crosses_and_growth_moves_nobody(count, more, own_test):
    test = manifest({"IM-t": "NORMAL", "virus-t": "PNEUMONIA"}, split="test") if own_test else manifest({})
    small, large = (pd.concat([manifest(people(size)), test], ignore_index=True) for size in (count, count + more))
    small["new"], large["new"] = assign_splits(small), assign_splits(large)
    assert (large.groupby("patient")["new"].nunique() == 1).all()
    before = small.groupby("patient")["new"].first()
    assert large.groupby("patient")["new"].first().loc[before.index].equals(before)


def test_patients_who_share_a_picture_stay_together():
    rows = manifest(people(200))
    for number in range(0, 150, 3):
        rows.loc[rows["path"] == f"bacteria-{number}-0", "pixels"] = f"virus-{number + 1}-1"
    rows["new"] = assign_splits(rows)
    assert (rows.groupby("pixels")["new"].nunique() == 1).all()
    assert (rows.groupby("patient")["new"].nunique() == 1).all()


def flip(phash: str, bits: int) -> str:
    """The hash of almost the same picture."""
    return f"{int(phash, 16) ^ int('1' * bits, 2):064x}"


@pytest.mark.parametrize("own_test", [False, True])
def test_patients_who_share_almost_the_same_picture_stay_together_and_others_stay_where_they_were(own_test):
    test = manifest({"IM-t": "NORMAL", "virus-t": "PNEUMONIA"}, split="test") if own_test else manifest({})
    rows = pd.concat([manifest(people(200)), test], ignore_index=True)
    before = assign_splits(rows)
    pairs = [(f"bacteria-{number}-0", f"virus-{number + 1}-1") for number in range(0, 60, 3)]
    hashes = rows.set_index("path")["phash"]
    for first, second in pairs:
        hashes[second] = flip(hashes[first], 12)
    rows["phash"] = hashes.to_numpy()
    rows["new"] = assign_splits(rows)
    split = rows.set_index("path")["new"]
    assert all(split[first] == split[second] for first, second in pairs)
    assert (rows.groupby("patient")["new"].nunique() == 1).all()
    linked = {path.rpartition("-")[0] for pair in pairs for path in pair}
    assert (rows["new"] == before)[~rows["patient"].isin(linked)].all()


def test_almost_the_same_picture_in_test_and_outside_is_refused():
    rows = pd.concat([manifest(people(20)), manifest({"IM-t": "NORMAL"}, split="test")], ignore_index=True)
    rows.loc[rows["path"] == "IM-t-0", "phash"] = flip(rows["phash"][0], 12)
    with pytest.raises(DataError, match="both in the test folder and outside"):
        assign_splits(rows)


def test_a_small_stratum_still_gives_a_patient_to_each_split():
    rows = manifest({f"IM-{n}": "NORMAL" for n in range(3)} | {f"virus-{n}": "PNEUMONIA" for n in range(3)})
    rows["new"] = assign_splits(rows)
    assert (pd.crosstab(rows["label"], rows["new"]) > 0).all(axis=None)


def test_a_patient_in_test_and_outside_is_refused():
    rows = pd.concat([manifest(people(20)), manifest({"IM-3": "NORMAL"}, split="test")], ignore_index=True)
    with pytest.raises(DataError, match=r"1 are \(IM-3\)"):
        assign_splits(rows)


def test_too_few_patients_are_refused():
    with pytest.raises(DataError, match=r"at least 3 patients of NORMAL \(none\)"):
        assign_splits(manifest({"IM-1": "NORMAL", **{f"virus-{n}": "PNEUMONIA" for n in range(5)}}))
