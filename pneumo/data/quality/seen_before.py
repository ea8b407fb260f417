"""Whether an image was seen before: the same file, the same picture, or another picture of the same patient."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.quality.near_duplicates import connected, picture_numbers
from pneumo.data.sources.names import tells_patient


def seen_before(manifest: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows of a manifest are in another by file, by picture (identical or almost) or by patient, bool (n,).

    Links count through others, too: a patient who shares a picture with a known one is known in all pictures. A patient
    is compared where it is known, healthy or ill, and by `of_one_issuer`. Columns that are missing are not compared:
    older manifests, and rows of unreadable files, lack pixels and phash.

    Args:
        manifest: rows with path, sha256 and patient, and if possible pixels, phash, patient_known and
            unissued.
        known: the manifest of what was seen, with the same columns.
    """
    both = pd.concat([known, manifest], ignore_index=True)
    told = pd.concat([told_patients(known), told_patients(manifest)], ignore_index=True)
    told = of_one_issuer(told, both)
    pairs = np.concatenate([_links(both["sha256"].replace("", None)), _links(_looks(both)), _links(told)])
    group = connected(len(both), pairs)
    found: NDArray[np.bool_] = np.isin(group[len(known) :], group[: len(known)])
    return found


def told_patients(manifest: pd.DataFrame) -> pd.Series:
    """Known patients (n,); missing where a picture counts as a patient of its own."""
    pairs = zip(manifest["path"], manifest["patient"], strict=True)
    known = pd.Series([tells_patient(*pair) for pair in pairs], index=manifest.index, dtype=object)
    if "patient_known" in manifest:  # manifests of older versions lack it
        known = manifest["patient_known"].astype(object).where(manifest["patient_known"].notna(), known)
    return manifest["patient"].where(known.astype(bool))


def of_one_issuer(patient: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Patients (n,) of rows of several manifests, in which one whose issuer only some rows tell is one patient.

    The same identifier may be another person's elsewhere; it counts as the same, since the error is on the safe side.
    """
    if "unissued" not in rows:  # manifests of older versions lack it
        return patient
    return patient.where(~rows["unissued"].isin(set(patient.dropna())), rows["unissued"])


def _looks(rows: pd.DataFrame) -> pd.Series:
    """Picture numbers of rows, see `picture_numbers`; missing where pictures cannot be compared."""
    if not {"pixels", "phash"} <= set(rows):
        return pd.Series(dtype=float)
    return picture_numbers(rows[rows["pixels"].notna() & rows["phash"].notna()])


def _links(key: pd.Series) -> NDArray[np.intp]:
    """Pairs of each row that has a key and the first row with the same key, int (pairs, 2)."""
    has = key.dropna()
    first = has.index.to_series().groupby(has.to_numpy()).transform("first")
    return np.column_stack([has.index.to_numpy(), first.to_numpy()]).astype(np.intp)
