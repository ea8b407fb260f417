"""The table of a batch scoring: its columns, and what of it can be shown without naming a patient."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("path", "sha256", "probability", "label", "error", "out_of_distribution")
NAMELESS = ("sha256", "probability", "label", "out_of_distribution")
UNCERTAIN = "uncertain"  # a column only where it was asked for


def columns_of(uncertain: bool) -> tuple[str, ...]:
    """Columns of the table, with the one that says whether another label is possible if that was asked."""
    return (*COLUMNS, UNCERTAIN) if uncertain else COLUMNS


def to_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> "pd.DataFrame":
    """The table of these rows; an image that could not be read has no probability (NaN)."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns)).astype({"probability": float})


def read_table(table: Path) -> "pd.DataFrame":
    """A written table."""
    import pandas as pd

    if table.suffix == ".parquet":
        return pd.read_parquet(table)
    texts = dict.fromkeys(("path", "sha256", "label", "error"), str)
    return pd.read_csv(table, dtype=texts, keep_default_na=False, na_values=[""])  # a file may be called NA


def nameless(table: Path) -> str:
    """A written table as CSV without paths and without errors, which quote paths; images are named by sha256."""
    rows = read_table(table)
    return rows[[*NAMELESS, *rows.columns.intersection([UNCERTAIN])]].to_csv(index=False)
