"""Tables from outside, CSV or Parquet, as texts: read only within limits of size."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo.data.sources.parquet_table import read_table
from pneumo.errors import DataError

LARGEST = 128 * 2**20  # bytes: over a million rows
LONGEST_HEADER = 2**16  # bytes


def read_texts(file: Path, choose: Callable[[Sequence[str]], Sequence[str]], kind: str = "table") -> pd.DataFrame:
    """Some columns of a CSV file with a header, or of a Parquet file; an empty cell is not a number.

    Args:
        file: the table.
        choose: gives the columns to read, from the titles of all; its errors are raised.
        kind: what the file is called in errors.

    Raises:
        DataError: the file is too large, or no table.
    """
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise DataError(f"Expected a {kind} of at most {LARGEST >> 20} MiB, but {file} is larger: cut it in parts.")
        if file.suffix.lower() == ".parquet":
            table = read_table(file, size, str(file), lambda there: list(choose(there)))
            return pd.DataFrame({name: _texts(table[name]) for name in table.column_names})
        header, separator = _header(file, size)
        return pd.read_csv(file, dtype=str, sep=separator, usecols=list(set(choose(header))))
    except (ValueError, OSError) as error:  # pandas' errors are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"Expected a table, but {file} cannot be read ({reason}): save it as CSV or Parquet."
        ) from error


def _header(file: Path, size: int) -> tuple[list[str], str]:
    """Titles, and what separates them: spreadsheets of many countries write semicolons."""
    with file.open("rb") as start:
        beginning = start.read(LONGEST_HEADER)
    whole = beginning if size <= LONGEST_HEADER else beginning[: beginning.rfind(b"\n") + 1]
    line = beginning.partition(b"\n")[0]
    separator = max(",;\t", key=lambda mark: line.count(mark.encode()))
    first = pd.read_csv(io.BytesIO(whole or beginning), dtype=str, sep=separator, nrows=1)
    if first.empty and size > LONGEST_HEADER:  # pandas takes minutes for a header of millions of columns
        raise ValueError(f"its header has over {LONGEST_HEADER >> 10} KiB")
    return list(first.columns), separator


def _texts(column: Any) -> pd.Series:
    """A Parquet column as texts, as a CSV has them; pandas would change numbers that stand beside an empty cell.

    Raises:
        ValueError: a number has a fraction, or is too large for a float to hold it exactly.
    """
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_floating(column.type):  # this is how pandas writes whole numbers beside an empty cell
        column = compute.if_else(compute.is_nan(column), None, column).cast(pyarrow.int64())
    texts: pd.Series = column.cast(pyarrow.string()).to_pandas()
    return texts
