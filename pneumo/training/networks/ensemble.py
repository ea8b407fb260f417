"""Scores of an ensemble: the mean of its networks' logits."""

from collections.abc import Sequence

import pandas as pd


def mean_logits(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of logits; rows that are equal but for the logit become one row with the mean logit.

    Folds have different validation images, so those rows stay as they are: each image was scored by the one network
    that was not trained on it (out-of-fold). Test images were scored by all networks.
    """
    rows = pd.concat(tables, ignore_index=True)
    same = [name for name in rows.columns if name != "logit"]
    merged: pd.DataFrame = rows.groupby(same, dropna=False)["logit"].mean().reset_index()
    return merged
