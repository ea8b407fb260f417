"""Whether an image was seen before: the file, the picture, or another picture of the same patient."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.quality.near_duplicates import connected, picture_numbers
from pneumo.data.sources.names import tells_patient


def seen_before(manifest: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows a manifest shares with another by file, by picture, identical or almost, or by patient, bool (n,).

    Directly or by way of others: who shares a picture with somebody known is known in all pictures. A patient counts
    where somebody told who it is, healthy or ill. What a manifest does not have is not compared by: older ones lack
    pixels and phash, and rows of unreadable files do.

    Args:
        manifest: rows with path, sha256 and patient, if possible with pixels, phash and patient_known.
        known: the same of what was seen.
    """
    both = pd.concat([known, manifest], ignore_index=True)
    told = pd.concat([told_patients(known), told_patients(manifest)], ignore_index=True)
    pairs = np.concatenate([_links(both["sha256"].replace("", None)), _links(_looks(both)), _links(told)])
    group = connected(len(both), pairs)
    found: NDArray[np.bool_] = np.isin(group[len(known) :], group[: len(known)])
    return found


def told_patients(manifest: pd.DataFrame) -> pd.Series:
    """Patients (n,) as somebody told them; missing where a picture counts as a patient of its own."""
    pairs = zip(manifest["path"], manifest["patient"], strict=True)
    known = pd.Series([tells_patient(*pair) for pair in pairs], index=manifest.index, dtype=object)
    if "patient_known" in manifest:  # else made before manifests said so
        known = manifest["patient_known"].astype(object).where(manifest["patient_known"].notna(), known)
    return manifest["patient"].where(known.astype(bool))


def _looks(rows: pd.DataFrame) -> pd.Series:
    """Pictures as of `picture_numbers`, missing where they cannot be compared."""
    if not {"pixels", "phash"} <= set(rows):
        return pd.Series(dtype=float)
    return picture_numbers(rows[rows["pixels"].notna() & rows["phash"].notna()])


def _links(key: pd.Series) -> NDArray[np.intp]:
    """Each row that has a key beside the first row with the same, int (pairs, 2)."""
    has = key.dropna()
    first = has.index.to_series().groupby(has.to_numpy()).transform("first")
    return np.column_stack([has.index.to_numpy(), first.to_numpy()]).astype(np.intp)
