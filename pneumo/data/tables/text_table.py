"""Tables from outside, CSV or Parquet, as texts: read only within limits of size."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo.data.store.decode import SUFFIXES
from pneumo.data.tables.parquet_table import read_table
from pneumo.errors import DataError

LARGEST = 128 * 2**20  # bytes: over a million rows
LONGEST_HEADER = 2**16  # bytes
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
AS_WRITTEN: Any = {"dtype": str, "keep_default_na": False, "na_values": [""]}  # a file or a patient may be called NA
NO_TITLE = r"[\d.:/ -]+|[0-9a-f]{32}|[0-9a-f]{64}"  # a number, date or UID, or a hash


def read_texts(file: Path, choose: Callable[[Sequence[str]], Mapping[str, str]], kind: str) -> pd.DataFrame:
    """Some columns of a CSV file with a header, or of a Parquet file, by other names; an empty cell is not a number.

    Args:
        file: the table.
        choose: gives the columns to read, titles by the names that they get, from the titles of all; its errors are
            raised.
        kind: what the file is called in errors.

    Raises:
        DataError: the file is too large, or no table.
    """
    titles: dict[str, str] = {}

    def wanted(there: Sequence[str]) -> list[str]:
        titles.update(choose(there))
        return list(titles.values())

    try:
        size = _size(file, kind)
        if file.suffix.lower() == ".parquet":
            table = read_table(file, size, str(file), wanted)
            return pd.DataFrame({name: _texts(table[title]) for name, title in titles.items()})
        header, separator = _header(file, size)
        wanted(header)
        rows = pd.read_csv(file, sep=separator, **AS_WRITTEN)  # all columns: of some, longer rows would be cut silently
        if not isinstance(rows.index, pd.RangeIndex):  # pandas took the first values for the rows' names
            raise ValueError("its rows have more values than its first line has titles")
        return pd.DataFrame({name: rows[title] for name, title in titles.items()})
    except pd.errors.EmptyDataError:
        raise DataError(
            f"Expected a {kind} with the columns' titles in its first line, but {file} is empty: fill it in."
        ) from None
    except UnicodeDecodeError:
        raise DataError(
            f"Expected a {kind} in UTF-8, but {file} has other letters: save it as CSV in UTF-8, or as Parquet."
        ) from None
    except (ValueError, OSError) as error:  # pandas' errors are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"Expected a {kind}, but {file} cannot be read ({reason}): save it as CSV or Parquet."
        ) from error


def first_row(file: Path) -> int:
    """The number that a spreadsheet gives to the first row of a table: the titles of a CSV file are row 1."""
    return 1 if file.suffix.lower() == ".parquet" else 2


def title_like(name: str, there: Sequence[str], file: Path) -> str | None:
    """The title that a column has in a file, found without regard to case and surrounding spaces; None: there is none.

    Raises:
        DataError: several are alike, and none is exactly this one.
    """
    alike = [name] if name in there else [one for one in there if _plain(one) == _plain(name)]
    if len(alike) > 1:
        raise DataError(f"Expected one column {name} in {file}, but it has {', '.join(alike)}: rename all but one.")
    return alike[0] if alike else None


def require_titles(file: Path, there: Sequence[str], wanted: str) -> None:
    """Refuse a file without a header before its first row is quoted as titles, which may name a patient.

    Args:
        wanted: the titles to put above it, in words.

    Raises:
        DataError: a title is a number, a hash or the name of an image.
    """
    if any(re.fullmatch(NO_TITLE, _plain(title)) or _plain(title).endswith(SUFFIXES) for title in there):
        raise DataError(
            f"Expected the columns' titles in the first line of {file}, but it holds a row, which is not repeated here:"
            f" put a line with {wanted} above it."
        )


def _plain(title: str) -> str:
    return str(title).strip().lower()


def _size(file: Path, kind: str) -> int:
    """Bytes of a file that can be a table."""
    if file.is_dir():
        raise DataError(f"Expected a {kind}, but {file} is a folder: give the file itself.")
    if not file.exists():
        raise DataError(f"Expected a {kind} at {file}, but there is no such file: check the path.")
    if file.suffix.lower() in SPREADSHEETS:
        raise DataError(f"Expected a {kind} in CSV or Parquet, but {file} is a spreadsheet: save it as CSV in UTF-8.")
    size = file.stat().st_size
    if size > LARGEST:
        raise DataError(f"Expected a {kind} of at most {LARGEST >> 20} MiB, but {file} is larger: cut it in parts.")
    return size


def _header(file: Path, size: int) -> tuple[list[str], str]:
    """Titles, and what separates them: spreadsheets of many countries write semicolons."""
    with file.open("rb") as start:
        beginning = start.read(LONGEST_HEADER)
    whole = beginning if size <= LONGEST_HEADER else beginning[: beginning.rfind(b"\n") + 1]
    line = beginning.partition(b"\n")[0]
    separator = max(",;\t", key=lambda mark: line.count(mark.encode()))
    first = pd.read_csv(io.BytesIO(whole or beginning), sep=separator, nrows=1, **AS_WRITTEN)
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
