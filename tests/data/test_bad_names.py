"""Names of files in any alphabet, and those that cannot be kept."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pneumo.data.sources.schemes import ingest
from pneumo.sections import Data


def test_a_directory_loop_is_entered_once_and_counted(place, home):
    (place.root / "train/NORMAL/again").symlink_to(place.root)
    found = ingest(str(place.root), home, Data())
    assert (found.images, found.skipped) == (48, {"directory loop": 1})


@pytest.mark.parametrize(
    "name",
    ["two words", "Röntgen Thorax", "снимок 1", "胸部エックス線", "صدر", "a'b\"c;$(d)&e", "x" * 240, "-rf", "%2e%2e"],
)
def test_names_in_any_alphabet_and_with_any_signs_are_kept(place, home, name):
    path = f"train/NORMAL/{name}.jpeg"
    rows = pd.read_parquet(ingest(place.put(path, place.jpeg()), home, Data()).manifest).set_index("path")
    assert rows.loc[path, "error"] is None
    assert rows.loc[path, "patient"] == name


def test_names_in_any_alphabet_come_out_of_archives(place, home):
    place.put("train/NORMAL/胸部 снимок.jpeg", place.jpeg())
    shutil.make_archive(str(place.top / "архив 1"), "zip", place.root.parent, place.root.name)
    found = ingest(str(place.top / "архив 1.zip"), home, Data())
    assert "train/NORMAL/胸部 снимок.jpeg" in set(pd.read_parquet(found.manifest)["path"])


def test_a_name_with_line_breaks_is_skipped_and_counted(place, home):
    assert ingest(place.put("train/NORMAL/a\nb.jpeg", b"x"), home, Data()).skipped == {"name is not printable text": 1}


def test_a_name_that_is_not_unicode_is_skipped_and_counted(place, home):
    (Path(os.fsdecode(os.fsencode(place.root / "train/NORMAL")) + "/" + os.fsdecode(b"\xff\xfe.jpeg"))).write_bytes(
        b"x"
    )
    assert ingest(str(place.root), home, Data()).skipped == {"name is not printable text": 1}
