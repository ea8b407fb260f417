"""Names of files in any alphabet, and those that cannot be kept."""

import os
import shutil

import pandas as pd
import pytest

from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data


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


@pytest.mark.parametrize("name", [b"train/NORMAL/\xff\xfe.jpeg", b"train/NORMAL/M\xfcller/a.jpeg", b"M\xfcller/a.png"])
def test_a_name_that_is_not_unicode_is_skipped_and_counted(place, home, name):
    assert ingest(place.put(os.fsdecode(name), b"x"), home, Data()).skipped == {"name is not printable text": 1}


def test_an_image_whose_folder_is_not_unicode_is_none_of_a_label_file(place, home):
    place.put(os.fsdecode(b"train/NORMAL/M\xfcller/a.jpeg"), place.jpeg())
    labels = "".join(f"{path.relative_to(place.root)},{path.parent.name}\n" for path in place.root.rglob("IM*.jpeg"))
    file = place.put("labels.csv", f"path,label\n{labels}a.jpeg,NORMAL\n".encode())
    with pytest.raises(DataError, match=r"1 row whose image is not there \('a.jpeg'\)"):
        ingest(file, home, Data())


def test_a_folder_that_is_not_unicode_is_not_taken_for_the_set(place, home, tmp_path):
    folder = tmp_path / os.fsdecode(b"for_M\xfcller/set")
    folder.parent.mkdir()
    place.root.rename(folder)
    with pytest.raises(DataError, match=r"has none .skipped: 48 name is not printable text"):
        ingest(str(tmp_path), home, Data())


def test_a_folder_with_a_wide_space_is_taken(place, home):
    found = ingest(place.put("train/NORMAL/山田\u3000太郎/a.jpeg", place.jpeg()), home, Data())
    assert (found.images, found.skipped) == (49, {})
