import os
import shutil

import numpy as np
import pandas as pd
import pytest

from pneumo.data import image_statistics
from pneumo.data.sources import schemes
from pneumo.data.sources.schemes import ingest
from pneumo.settings.data import Data


def read(inventory):
    return pd.read_parquet(inventory.manifest)


def test_an_inventory_has_a_row_per_image_with_what_was_found(make, chest_set, home):
    make.write(chest_set / "train/NORMAL/broken.jpeg", b"no picture")
    inventory = ingest(str(chest_set), home, Data())
    rows = read(inventory).set_index("path")
    assert inventory.images == len(rows) == 49
    assert not inventory.synthetic
    good = rows.loc["train/PNEUMONIA/person2_virus_0.jpeg"]
    assert (good["subtype"], good["patient"], good["width"], good["mode"]) == ("virus", "virus-2", 96, "L")
    assert rows["error"].notna().sum() == 1
    assert "broken.jpeg cannot be decoded" in rows.loc["train/NORMAL/broken.jpeg", "error"]


def test_an_unchanged_second_run_reads_no_file(chest_set, home, monkeypatch):
    first = ingest(str(chest_set), home, Data())
    calls = []
    monkeypatch.setattr(
        "pneumo.data.manifest.measure", lambda *args: calls.append(args) or image_statistics.measure(*args)
    )
    assert ingest(str(chest_set), home, Data()) == first
    assert calls == []
    changed = chest_set / "train/NORMAL/IM-0002-0000.jpeg"
    os.utime(changed, ns=(1, 1))
    assert ingest(str(chest_set), home, Data()).key == first.key
    assert [args[1] for args in calls] == ["train/NORMAL/IM-0002-0000.jpeg"]


def test_a_changed_file_changes_the_inventory(make, chest_set, home):
    first = ingest(str(chest_set), home, Data())
    make.write(chest_set / "train/NORMAL/IM-0002-0000.jpeg", make.encoded(make.picture(999)))
    assert ingest(str(chest_set), home, Data()).key != first.key


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(make, chest_set, home):
    file, pixels = chest_set / "train/NORMAL/a.dcm", np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    seen = []
    for stored in (pixels, pixels[::-1]):  # such as a corrected one, from a tool that keeps times
        make.write(file, make.dicom(stored))
        os.utime(file, ns=(1, 1))
        seen.append((file.stat().st_size, file.stat().st_mtime_ns, ingest(str(chest_set), home, Data()).key))
    assert seen[0][:2] == seen[1][:2] and seen[0][2] != seen[1][2]


def test_the_place_of_a_set_does_not_change_its_inventory(chest_set, home, tmp_path):
    other = shutil.copytree(chest_set, tmp_path / "elsewhere" / "set")
    here, there = ingest(str(chest_set), home, Data()), ingest(str(other), tmp_path / "home2", Data())
    assert here.key == there.key
    assert there.root == other


def test_a_killed_ingest_goes_on_where_it_was(chest_set, home, monkeypatch):
    monkeypatch.setattr("pneumo.data.manifest.BLOCK", 10)
    twenty_fifth = sorted(path.relative_to(chest_set).as_posix() for path in chest_set.rglob("*.jpeg"))[24]
    measured = []

    def dies(path, name, *rest):
        measured.append(name)
        if name == twenty_fifth and measured.count(name) == 1:
            raise KeyboardInterrupt
        return image_statistics.measure(path, name, *rest)

    monkeypatch.setattr("pneumo.data.manifest.measure", dies)
    with pytest.raises(KeyboardInterrupt):
        ingest(str(chest_set), home, Data())
    done = len(measured)
    ingest(str(chest_set), home, Data())
    assert len(measured) - done == 48 - 20  # two blocks were complete


def test_the_phantom_is_synthetic_and_passes_for_a_kaggle_set(home):
    inventory = ingest("phantom:48", home, Data())
    rows = read(inventory)
    assert inventory.synthetic
    assert set(rows["subtype"]) == {"none", "bacteria", "virus"}
    assert set(rows["split"]) == {"train", "test"}
    assert rows["patient"].nunique() < len(rows)


def test_every_scheme_is_in_the_table():
    assert set(schemes.SCHEMES) == {"phantom", "kaggle", "s3", "dicomweb", "dicomweb+http", "version"}
