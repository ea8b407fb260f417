"""Read a Parquet file of embeddings that somebody else wrote; whatever is not clean is refused."""

import io
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumo.data.manifest import COLUMNS
from pneumo.data.tables.parquet_table import read_table
from pneumo.errors import DataError
from pneumo.records.base import EMBEDDING

if TYPE_CHECKING:
    import pyarrow

Floats = NDArray[np.float32]
KEYS = ("sha256", "path")
# Numbers that tables are left with by accident: they tell the label, or the order of the files, which does as well.
NO_FEATURES = (
    *COLUMNS, "label", "labels", "target", "targets", "class", "classes", "y", "y_true", "truth", "ground_truth", "gt",
    "diagnosis", "disease", "finding", "findings", "normal", "pneumonia", "patient_id", "subject", "subject_id", "fold",
    "id", "image_id", "study_id", "row", "index", "level_0", "unnamed: 0",
)  # fmt: skip
SHOWN = 60  # letters of a bad value


class Table(NamedTuple):
    """What a file holds: `key` is sha256 or path, `keys` text (n,), `values` float32 (n, d); `name` may be None."""

    name: str | None
    key: str
    keys: NDArray[np.object_]
    values: Floats


def read_vectors(content: bytes, shown: str) -> Table:
    """Read a table with a column sha256 or path, and a column `embedding` of lists or one column for each number.

    Args:
        content: the bytes of a Parquet file.
        shown: its name in errors.

    Raises:
        DataError: there is not exactly one finite vector, all of the same length, for each key; names the column.
    """
    table = read_table(io.BytesIO(content), len(content), shown, lambda names: _wanted(names, shown))
    key = next(name for name in KEYS if name in table.column_names)
    if not table.num_rows:
        raise DataError(f"Expected a row per image in {shown}, got an empty table: make the embeddings again.")
    keys = _keys(table.column(key), key, shown)
    wide = EMBEDDING not in table.column_names
    values = _of_columns(table, shown) if wide else _of_lists(table.column(EMBEDDING), keys, shown)
    if bad := np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        raise DataError(
            f"Expected finite numbers in {shown}, but {len(bad)} rows hold NaN, infinity or nothing, the first in"
            f" column {_column(table, values[bad[0]])} of {keys[bad[0]]}: make these embeddings again."
        )
    name = (table.schema.metadata or {}).get(b"name")
    return Table(name.decode(errors="replace") if name else None, key, *_once(keys, values, key, shown))


def _wanted(names: list[str], shown: str) -> list[str]:
    """Names of the columns to read: with a column of lists, no other numbers."""
    if not set(KEYS) & set(names):
        raise DataError(f"Expected a column sha256 or path in {shown}, got {_listed(names)}: add one.")
    return [name for name in names if name in (*KEYS, EMBEDDING)] if EMBEDDING in names else names


def _keys(column: Any, key: str, shown: str) -> NDArray[np.object_]:
    found = column.to_pylist()
    bad = [item for item in found if not isinstance(item, str) or not _is_key(item, key)]
    if bad:
        wanted = "64 hexadecimal digits" if key == "sha256" else "a path as in the manifest"
        raise DataError(
            f"Expected {wanted} in every row of column {key} of {shown}, but {len(bad)} rows hold something else, such"
            f" as {str(bad[0])[:SHOWN]!r}: correct them."
        )
    return np.array([item.lower() for item in found] if key == "sha256" else found, dtype=object)


def _is_key(text: str, key: str) -> bool:
    return len(text) == 64 and not set(text.lower()) - set("0123456789abcdef") if key == "sha256" else bool(text)


def _of_lists(column: Any, keys: NDArray[np.object_], shown: str) -> Floats:
    from pyarrow import compute, types

    kind = column.type
    lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    if not lists or not _is_number(kind.value_type):
        raise DataError(
            f"Expected lists of numbers in column {EMBEDDING} of {shown}, got {kind}: write lists of floats."
        )
    lengths = compute.list_value_length(column).fill_null(0).to_numpy()
    if wrong := np.flatnonzero(lengths != lengths[0]).tolist():
        raise DataError(
            f"Expected lists of the same length in column {EMBEDDING} of {shown}, but {keys[0]} has {lengths[0]}"
            f" numbers and {keys[wrong[0]]} has {lengths[wrong[0]]}: make the embeddings again with one model."
        )
    flat = compute.list_flatten(column)
    return _enough(_numbers(flat).reshape(len(keys), -1), EMBEDDING, shown)


def _of_columns(table: "pyarrow.Table", shown: str) -> Floats:
    """One column for each number; a column that is no feature is refused, since it would give away the label."""
    names = [name for name in table.column_names if name not in KEYS]
    for name in names:
        kind = table.schema.field(name).type
        if _plain(name) in map(_plain, NO_FEATURES) or name.startswith("__index_level_"):
            raise DataError(f"Expected features only in {shown}, but column {name} is none: take it out of the file.")
        if not _is_number(kind):
            raise DataError(f"Expected numbers in column {name} of {shown}, got {kind}: take it out, or write floats.")
    columns = [_numbers(table.column(name)) for name in names]
    return _enough(np.stack(columns, axis=1) if columns else np.zeros((table.num_rows, 0)), "with numbers", shown)


def _plain(name: str) -> str:
    """A name without case, and without what separates its words: patientid of Patient ID."""
    return re.sub(r"[\W_]", "", name).casefold()


def _numbers(column: Any) -> NDArray[np.floating]:
    """Numbers of a column as float32, NaN where a cell is empty."""
    from pyarrow import float64

    with np.errstate(over="ignore"):  # beyond float32: infinity, which is refused
        # Not safe: a whole number beyond 2**53 is rounded, as all are to float32.
        narrow: Floats = column.cast(float64(), safe=False).to_numpy().astype(np.float32)
    return narrow


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_floating(kind) or types.is_integer(kind))


def _enough(values: NDArray[np.floating], column: str, shown: str) -> Floats:
    if values.shape[1] < 2:
        raise DataError(
            f"Expected two or more numbers an image in {shown}, column {column}, got {values.shape[1]}: an embedding"
            " has hundreds."
        )
    return values.astype(np.float32)


def _once(keys: NDArray[np.object_], values: Floats, key: str, shown: str) -> tuple[NDArray[np.object_], Floats]:
    """Keep each key once; a second row with the same vector is no error."""
    unique, first, where = np.unique(keys, return_index=True, return_inverse=True)
    if other := np.flatnonzero((values != values[first[where]]).any(axis=1)).tolist():
        raise DataError(
            f"Expected one vector for each {key} in {shown}, but {len(other)} rows give another one for a {key} that"
            f" was there before, such as {keys[other[0]]}: make the embeddings again."
        )
    return unique, values[first]


def _column(table: "pyarrow.Table", row: Floats) -> str:
    names = [name for name in table.column_names if name not in KEYS]
    return EMBEDDING if EMBEDDING in names else names[int(np.flatnonzero(~np.isfinite(row))[0])]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:5])}{' and others' if len(names) > 5 else ''}" if names else "no columns"
