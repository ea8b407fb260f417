"""Pictures that are almost the same: which of them the gate takes out, and which must stay in one split."""

import pandas as pd
from PIL import Image

from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import make_version
from pneumo.settings.data import Data
from tests.data.quality.checking import check


def almost(make, path, of, shift=1):
    """Write a picture that is a little brighter than another: its pixels differ, its perceptual hash hardly."""
    with Image.open(of) as image:
        make.write(path, make.encoded(image.point(lambda value: min(255, value + shift)), "PNG"))


def test_both_sides_of_a_pair_are_named_and_the_one_outside_test_is_taken_out(make, chest_set, home):
    train = chest_set / "train/NORMAL"
    almost(make, chest_set / "test/NORMAL/again.jpeg", of=train / "IM-0007-0000.jpeg")
    almost(make, train / "IM-0007-copy.jpeg", of=train / "IM-0007-0000.jpeg", shift=2)
    almost(make, train / "IM-0005-again.jpeg", of=train / "IM-0003-0000.jpeg")
    report, rows = check(chest_set, home)
    assert rows["no near-duplicates"].observed == "violated by 5 of 51 images"
    assert rows["no near-duplicates"].files == (
        "test/NORMAL/again.jpeg ~ train/NORMAL/IM-0007-0000.jpeg ~ train/NORMAL/IM-0007-copy.jpeg",
        "train/NORMAL/IM-0003-0000.jpeg ~ train/NORMAL/IM-0005-again.jpeg",
    )
    assert rows["no near-duplicates across splits"].files == (
        "train/NORMAL/IM-0007-0000.jpeg ~ test/NORMAL/again.jpeg",
        "train/NORMAL/IM-0007-copy.jpeg ~ test/NORMAL/again.jpeg",
    )
    split = pd.read_parquet(make_version(ingest(str(chest_set), home, Data()), report, home).manifest)
    split = split.set_index("path")["split"]
    assert split["test/NORMAL/again.jpeg"] == "test"
    assert not {"train/NORMAL/IM-0007-0000.jpeg", "train/NORMAL/IM-0007-copy.jpeg"} & set(split.index)
    assert split["train/NORMAL/IM-0003-0000.jpeg"] == split["train/NORMAL/IM-0005-again.jpeg"]


def test_without_a_test_folder_nothing_is_said_to_be_apart_from_it_and_pairs_stay_in_one_split(make, tmp_path, home):
    root = make.kaggle_set(tmp_path / "set", test=False)
    pairs = [(f"PNEUMONIA/person{n}_bacteria_0.jpeg", f"PNEUMONIA/person{n + 100}_virus_0.jpeg") for n in range(8)]
    for first, second in pairs:
        almost(make, root / second, of=root / first)
    report, rows = check(root, home)
    assert not [name for name in rows if "across splits" in name or "test" in name]
    assert len(rows["no near-duplicates"].files) == 8
    split = pd.read_parquet(make_version(ingest(str(root), home, Data()), report, home).manifest)
    split = split.set_index("path")["split"]
    assert split.nunique() == 3
    assert all(split[first] == split[second] for first, second in pairs)


def test_pictures_that_chain_many_patients_together_are_told(make, chest_set, home):
    train = chest_set / "train/NORMAL"
    assert check(chest_set, home)[1]["groups are small"].passed
    for number in range(5):
        almost(make, train / f"NORMAL2-IM-{number:04d}-9.jpeg", of=train / "IM-0002-0000.jpeg", shift=number + 1)
    row = check(chest_set, home)[1]["groups are small"]
    assert (row.passed, row.observed) == (False, "0.132")  # 7 of 53: with the other image of the first patient
