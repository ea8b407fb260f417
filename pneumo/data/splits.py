"""Which split a patient belongs to: by a hash of the patient, so that growing the data set moves nobody."""

import hashlib

import numpy as np
import pandas as pd

from pneumo.data.quality.near_duplicates import connected, picture_numbers
from pneumo.errors import DataError

VALIDATION_SHARE = 0.15
TEST_SHARE = 0.15  # only where the source has no test folder of its own


def assign_splits(manifest: pd.DataFrame) -> pd.Series:
    """Split of every row: train, validation or test; a patient stays together.

    So do patients who share a picture, or almost the same one. The source's own test rows stay test; the rest is cut by
    patient, in every stratum of label and subtype. Where the source has no test rows the cut makes all three. Shares
    hold on average (it is a hash), and a stratum whose share came out empty gives its next patient in line.

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
    for (label, subtype), rows in manifest[~own_test].groupby(["label", "subtype"]):
        places = position[rows.index]
        if places.nunique() < needed:
            raise DataError(
                f"Expected at least {needed} patients of {label} ({subtype}) to cut from, but the set has"
                f" {places.nunique()}: add patients."
            )
        split[rows.index[places < max(VALIDATION_SHARE, np.nextafter(places.min(), 1))]] = "validation"
        if not own_test.any():
            split[rows.index[places >= min(1 - TEST_SHARE, places.max())]] = "test"
    return _keep_groups_whole(split, group)


def position_of(name: str) -> float:
    """Place of a patient in [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def groups(manifest: pd.DataFrame) -> pd.Series:
    """Patients linked by an identical or almost identical picture are one group, named after its first by position.

    Args:
        manifest: readable rows with patient, pixels and phash.
    """
    patient, names = pd.factorize(manifest["patient"])
    first = pd.Series(patient).groupby(picture_numbers(manifest).to_numpy()).transform("first")
    members = pd.DataFrame({"name": names, "group": connected(len(names), np.column_stack([patient, first]))})
    members["position"] = members["name"].map(position_of)
    leaders = members.sort_values("position").groupby("group")["name"].transform("first").sort_index()
    return pd.Series(leaders.to_numpy()[patient], index=manifest.index)


def _require_apart(group: pd.Series, own_test: pd.Series) -> None:
    crossing = sorted(set(group[own_test]) & set(group[~own_test]))
    if crossing:
        raise DataError(
            f"Expected no patient both in the test folder and outside, but {len(crossing)} are"
            f" ({', '.join(crossing[:5])}): move each patient's images to one side."
        )


def _keep_groups_whole(split: pd.Series, group: pd.Series) -> pd.Series:
    """A group that spans strata and was pulled into a held-out split by one of them goes there whole."""
    order = {"train": 0, "validation": 1, "test": 2}
    return split.map(order).groupby(group).transform("max").map({rank: name for name, rank in order.items()})
