"""Parquet files from outside, read only if they fit in memory: a few kilobytes can stand for gigabytes."""

from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pneumo.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import FileMetaData

RATIO, RATIO_FROM = 100, 64 * 2**20  # of memory to file size, checked beyond so many bytes, as for archives
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}  # bytes
Choice = Callable[[list[str]], list[str]]


def read_table(file: Path | IO[bytes], size: int, shown: str, choose: Choice) -> "pyarrow.Table":
    """Read some columns of a table.

    Args:
        file: a path, or the content.
        size: of the file, bytes.
        shown: its name in errors.
        choose: gives the columns to read, from the names of all.

    Raises:
        DataError: it is no Parquet file, or takes far more memory than its size suggests.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        footer = parquet.read_metadata(file)
        _require_fit(_expected(footer), size, shown)
        names = [footer.schema.column(place).path for place in range(footer.num_columns)]
        with parquet.ParquetFile(file, read_dictionary=names) as opened:  # so each text is held once
            table = opened.read(columns=list(dict.fromkeys(choose(opened.schema_arrow.names))))
        _require_fit(sum(map(_text_bytes, table.columns)), size, shown)
        return table.cast(pyarrow.schema([_plain(field) for field in table.schema], table.schema.metadata))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise DataError(
            f"Expected a Parquet file, but {shown} cannot be read as one ({reason}): write it anew."
        ) from None


def _require_fit(memory: int, size: int, shown: str) -> None:
    if memory > max(RATIO_FROM, RATIO * size):
        raise DataError(
            f"Expected a table that takes at most {RATIO} times its size, but {shown} of {size >> 10} KiB takes"
            f" {memory >> 20} MiB, as a decompression bomb does: do not trust this file."
        )


def _expected(footer: "FileMetaData") -> int:
    """Bytes in memory as the footer declares them, each text counted once."""
    total = 0
    for place in range(footer.num_columns):
        parts = [footer.row_group(group).column(place) for group in range(footer.num_row_groups)]
        column = footer.schema.column(place)
        width = WIDTHS.get(column.physical_type, column.length)
        total += sum(part.num_values * width + part.total_uncompressed_size for part in parts)
    return total


def _text_bytes(column: "pyarrow.ChunkedArray") -> int:
    """Bytes of a column's texts if each row has its own."""
    from pyarrow import compute, types

    if not types.is_dictionary(column.type):
        return 0
    lengths = (compute.binary_length(part.dictionary).take(part.indices) for part in column.chunks)
    return sum(compute.sum(part).as_py() or 0 for part in lengths)


def _plain(field: "pyarrow.Field") -> "pyarrow.Field":
    from pyarrow import types

    return field.with_type(field.type.value_type) if types.is_dictionary(field.type) else field
