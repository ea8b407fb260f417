"""Which split a patient belongs to, by a hash of the patient: a data set that grows moves nobody to another split."""

import hashlib

import numpy as np
import pandas as pd

from pneumo.data.quality.near_duplicates import connected, picture_numbers
from pneumo.errors import DataError

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15  # only where the source has no test folder of its own


def assign_splits(manifest: pd.DataFrame) -> pd.Series:
    """Split of every row, train, validation or test; all images of a patient go to one split.

    Patients who share a picture, or almost the same one, stay together, too. The source's own test rows stay test; the
    others are split by patient within each stratum of label and subtype. Without test rows of the source, test is split
    off as well. Shares hold on average, because a hash decides; if a stratum gives a split no patient, the patient next
    in line goes there.

    Raises:
        DataError: a patient or picture is in the source's test set and outside of it, or a class has too few patients.
    """
    group = groups(manifest)
    position = group.map({name: position_of(name) for name in group.unique()})
    own_test = manifest["split"] == "test"
    split = pd.Series("train", index=manifest.index)
    split[own_test] = "test"
    _require_apart(group, own_test)
    needed = 2 if own_test.any() else 3
    _require_patients(manifest[~own_test], position, needed)
    for _, rows in manifest[~own_test].groupby(["label", "subtype"]):
        places = position[rows.index]
        # A stratum of a patient or two, such as corrected labels make, is not split by force.
        first, last = (places.min(), places.max()) if places.nunique() >= needed else (0.0, 1.0)
        split[rows.index[places < max(VALIDATION_SHARE, np.nextafter(first, 1))]] = "validation"
        if not own_test.any():
            split[rows.index[places >= min(1 - TEST_SHARE, last)]] = "test"
    return _keep_groups_whole(split, group)


def position_of(name: str) -> float:
    """Position of a patient in [0, 1) by a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def groups(manifest: pd.DataFrame) -> pd.Series:
    """Group of each row: patients who share an identical or almost identical picture are one group.

    A group has the name of its first patient by position.

    Args:
        manifest: readable rows with patient, pixels and phash.
    """
    patient, names = pd.factorize(manifest["patient"])
    first = pd.Series(patient).groupby(picture_numbers(manifest).to_numpy()).transform("first")
    members = pd.DataFrame({"name": names, "group": connected(len(names), np.column_stack([patient, first]))})
    members["position"] = members["name"].map(position_of)
    leaders = members.sort_values("position").groupby("group")["name"].transform("first").sort_index()
    return pd.Series(leaders.to_numpy()[patient], index=manifest.index)


def _require_patients(rows: pd.DataFrame, position: pd.Series, needed: int) -> None:
    """Each class needs a subtype that can be split."""
    patients = position[rows.index].groupby([rows["label"], rows["subtype"]]).nunique().rename("patients").reset_index()
    largest = patients.sort_values("patients").drop_duplicates("label", keep="last")
    for row in largest[largest["patients"] < needed].to_dict("records"):
        raise DataError(
            f"Expected at least {needed} patients of {row['label']} ({row['subtype']}) to cut from, but the set has"
            f" {row['patients']}: add patients."
        )


def _require_apart(group: pd.Series, own_test: pd.Series) -> None:
    crossing = sorted(set(group[own_test]) & set(group[~own_test]))
    if crossing:
        raise DataError(
            f"Expected no patient both in the test folder and outside, but {len(crossing)} are"
            f" ({', '.join(crossing[:5])}): move each patient's images to one side."
        )


def _keep_groups_whole(split: pd.Series, group: pd.Series) -> pd.Series:
    """Move a group that spans strata as a whole to the held-out split to which one of its strata was assigned."""
    order = {"train": 0, "validation": 1, "test": 2}
    return split.map(order).groupby(group).transform("max").map({rank: name for name, rank in order.items()})
