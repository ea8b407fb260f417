"""Label files and tables of embeddings from outside, broken or far larger than they look: they are read or refused."""

import csv
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo.data.sources import label_files
from pneumo.data.tables.embedding_table import read_vectors
from pneumo.errors import DataError
from tests.security.broken import at_most, broken, fuzz

TABLE = b"path,label,patient,split\nNORMAL/a.jpeg,NORMAL,p1,train\nPNEUMONIA/b.jpeg,1,p2,test\n"


def check_labels(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in ("NORMAL/a.jpeg", "PNEUMONIA/b.jpeg"):
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes(b"image")
        (root / name).write_bytes(data)
        try:
            listing = label_files.list_labels(root / name, {})
        except DataError:
            return
        assert {entry.label for entry in listing.entries} == {"NORMAL", "PNEUMONIA"}
        assert all((root / entry.path).is_file() for entry in listing.entries)


def parquet() -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.read_csv(io.BytesIO(TABLE), dtype=str).to_parquet(buffer)
    return buffer.getvalue()


@fuzz
@given(broken(TABLE))
def test_a_label_file_is_read_or_refused(data):
    check_labels(data, "labels.csv")


@fuzz
@given(
    st.lists(
        st.lists(st.one_of(st.text(max_size=12), st.just("NORMAL/a.jpeg"), st.just("PNEUMONIA")), max_size=6),
        max_size=6,
    )
)
def test_any_table_is_read_or_refused(rows):
    text = io.StringIO()
    csv.writer(text).writerows([["path", "label", "patient", "split"], *rows])
    check_labels(text.getvalue().encode("utf-8", "surrogatepass"), "labels.csv")


@fuzz
@given(broken(parquet()))
def test_a_parquet_label_file_is_read_or_refused(data):
    check_labels(data, "labels.parquet")


def table_of(**columns) -> bytes:
    """A Parquet file without a word of how its columns were held."""
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, store_schema=False)
    return file.getvalue()


def same(text: str, rows: int):
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, np.int32)), [text])


def lists(rows: int, width: int):
    import pyarrow

    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.zeros(rows * width, np.float32)), width)


SHA = ["a" * 64] * 20_000

BOMBS = {
    "one number": (read_vectors, {"sha256": SHA, "embedding": lists(len(SHA), 1000)}),
    "one number beside": (read_vectors, {"sha256": SHA, "embedding": lists(len(SHA), 2), "x": lists(len(SHA), 1000)}),
    "one key": (read_vectors, {"path": same("a" * 4000, len(SHA)), "embedding": lists(len(SHA), 2)}),
    "one path": (None, {"path": same("a" * 4000, len(SHA)), "label": same("0", len(SHA))}),
    "one label of lists": (None, {"path": SHA, "label": lists(len(SHA), 1000)}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_table_that_says_one_thing_a_million_times_is_refused_before_it_is_read(kind, tmp_path):
    read, columns = BOMBS[kind]
    data = table_of(**columns)
    (tmp_path / "labels.parquet").write_bytes(data)
    assert len(data) < 300_000
    with pytest.raises(DataError, match=r"labels.parquet of \d+ KiB takes \d\d MiB, as a decompression bomb does"):
        read(data, "labels.parquet") if read else label_files.list_labels(tmp_path / "labels.parquet", {})


def test_a_path_that_is_long_costs_no_more_than_itself():
    keys = ["a" * 40_000, *(f"{number}" for number in range(4000))]
    data = table_of(path=keys, embedding=lists(len(keys), 2))
    found, most = at_most(lambda: read_vectors(data, "x"))
    assert len(found.keys) == len(keys) and most < 8 << 20


def test_a_label_file_of_any_size_is_not_read(tmp_path):
    with (tmp_path / "labels.csv").open("wb") as file:
        file.write(b"path,label\n")
        file.truncate(200 << 20)
    with pytest.raises(DataError, match=r"label file of at most 128 MiB, but .*labels.csv is larger"):
        label_files.list_labels(tmp_path / "labels.csv", {})


def test_a_label_file_with_a_header_of_any_length_is_not_read(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"path,label" + b",a" * (1 << 18) + b"\nNORMAL/a.jpeg,0\n")
    with pytest.raises(DataError, match=r"labels.csv cannot be read \(its header has over 64 KiB\)"):
        label_files.list_labels(tmp_path / "labels.csv", {})
