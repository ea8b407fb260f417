"""The sheet of a label audit: which labels are suspect, why, and in which order a person should look."""

import numpy as np
import pandas as pd

from pneumo.data.quality.near_duplicates import near_pairs
from pneumo.evaluation.statistics.confident_learning import doubt

# `corrected` is empty: a person fills in NORMAL, PNEUMONIA or DROP, and `pneumo correct` reads it.
COLUMNS = ["rank", "path", "label", "probability", "reason", "split", "sha256", "corrected"]
FORMULA = ("=", "+", "-", "@")  # a spreadsheet takes a text that begins so for a formula


def sheet(rows: pd.DataFrame, probabilities: pd.Series) -> pd.DataFrame:
    """Suspects with the `COLUMNS`: first pictures with two labels, then by how far the probability is beyond doubt.

    Args:
        rows: of the manifest, without test images.
        probabilities: out-of-fold, of pneumonia, by path; rows without one are judged by their doubles alone.
    """
    table = rows[["path", "label", "split", "sha256"]].assign(probability=rows["path"].map(probabilities))
    table = table.join(_doubted(table)).assign(double=_doubles(rows), corrected="")
    found = table[table["double"].notna() | (table["doubt"] >= 0)]
    found = found.assign(alone=found["double"].isna(), reason=found["double"].fillna(found["why"]))
    found = found.sort_values(["alone", "doubt", "path"], ascending=[True, False, True], ignore_index=True)
    shown = found["path"].where(~found["path"].str.startswith(FORMULA), "./" + found["path"])
    return found.assign(rank=found.index + 1, path=shown, probability=found["probability"].round(4))[COLUMNS]


def _doubted(table: pd.DataFrame) -> pd.DataFrame:
    """`doubt` and `why` of the rows that have a probability; none where these are of one class."""
    scored = table[table["probability"].notna()]
    ill = (scored["label"] == "PNEUMONIA").to_numpy()
    if ill.all() or not ill.any():
        return pd.DataFrame({"doubt": np.nan, "why": None}, index=table.index)
    beyond = pd.Series(doubt(ill, scored["probability"].to_numpy(float)), index=scored.index)
    other, sure = np.where(ill, "NORMAL", "PNEUMONIA"), np.where(ill, 1 - scored["probability"], scored["probability"])
    words = [
        f"probability of {name} {value:.3f}, as sure as that of images labelled so (mean {value - over:.3f})"
        for name, value, over in zip(other, sure, beyond, strict=True)
    ]
    return pd.DataFrame({"doubt": beyond, "why": pd.Series(words, index=scored.index)})


def _doubles(rows: pd.DataFrame) -> pd.Series:
    """For an image that is almost another one of the other label, a sentence that names that one; else None."""
    found = pd.Series(None, index=rows.index, dtype=object)
    if "phash" not in rows:  # manifests of older versions lack it
        return found
    labels, paths = rows["label"].to_numpy(), rows["path"].to_numpy()
    pairs = near_pairs(rows["phash"].tolist())
    for first, second in pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]:
        for one, other in ((first, second), (second, first)):
            found.iloc[one] = f"almost the same picture as {paths[other]}, which is labelled {labels[other]}"
    return found
