"""One candidate of several networks: what it says of an image is the mean of what they say."""

from collections.abc import Sequence

import pandas as pd


def mean_logits(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of logits as one: rows that differ in nothing else become one row with the mean logit.

    Folds have validation images of their own, which stay as they are: each was scored by the one network that did not
    learn from it (out-of-fold). Test images were scored by all.
    """
    rows = pd.concat(tables, ignore_index=True)
    same = [name for name in rows.columns if name != "logit"]
    merged: pd.DataFrame = rows.groupby(same, dropna=False)["logit"].mean().reset_index()
    return merged
