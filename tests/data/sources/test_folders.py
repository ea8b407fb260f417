import pytest

from pneumo.data.sources.folders import list_folder
from pneumo.errors import DataError


def test_val_is_pooled_with_train_and_test_stays(chest_set):
    listing = list_folder(chest_set)
    splits = {entry.path.split("/")[0]: entry.split for entry in listing.entries}
    assert splits == {"train": "train", "val": "train", "test": "test"}
    assert [entry.path for entry in listing.entries] == sorted(entry.path for entry in listing.entries)


def test_what_does_not_belong_is_skipped_and_counted(make, chest_set):
    count = len(list_folder(chest_set).entries)
    image = make.encoded(make.picture(1))
    for name in ("chest_xray/train/NORMAL/IM-0001-0001.jpeg", "chest_xray/train/NORMAL/IM-0002-0001.jpeg"):
        make.write(chest_set / name, image)
    make.write(chest_set / "__MACOSX/train/NORMAL/._IM-0001-0001.jpeg", b"x")
    make.write(chest_set / "train/NORMAL/._IM-0001-0001.jpeg", b"x")
    make.write(chest_set / "train/.DS_Store", b"x")
    make.write(chest_set / "train/NORMAL/notes.txt", b"x")
    make.write(chest_set / "train/stray.png", image)
    (chest_set / "train/NORMAL/again").symlink_to(chest_set / "train")
    listing = list_folder(chest_set)
    assert len(listing.entries) == count
    assert listing.skipped == {
        "nested second copy": 2,
        "system file": 3,
        "not an image file": 1,
        "file outside class folders": 1,
        "directory loop": 1,
    }


def test_a_folder_around_the_layout_is_entered(chest_set):
    (chest_set.parent / "__MACOSX").mkdir()
    assert list_folder(chest_set.parent).root == chest_set


def test_names_with_spaces_other_alphabets_and_capital_endings_are_taken(make, tmp_path):
    for name in ("Normal/Bild 1.JPG", "Normal/снимок.png", "PNEUMONIA/胸部 レントゲン.Jpeg"):
        make.write(tmp_path / name, b"x")
    entries = list_folder(tmp_path).entries
    assert {(entry.label, entry.path) for entry in entries} == {
        ("NORMAL", "Normal/Bild 1.JPG"),
        ("NORMAL", "Normal/снимок.png"),
        ("PNEUMONIA", "PNEUMONIA/胸部 レントゲン.Jpeg"),
    }


def test_an_unknown_class_folder_is_refused_by_name(make, chest_set):
    make.write(chest_set / "train/COVID/a.png", b"x")
    with pytest.raises(DataError, match="has a folder 'train/COVID'"):
        list_folder(chest_set)


@pytest.mark.parametrize("place", ["train/PNEUMONIA/NORMAL/a.png", "train/NORMAL/old/Pneumonia/a.png"])
def test_a_class_inside_the_other_is_refused_by_name(make, chest_set, place):
    make.write(chest_set / place, b"x")
    with pytest.raises(DataError, match=f"has a folder '{place.removeprefix('train/').removesuffix('/a.png')}'"):
        list_folder(chest_set)


def test_a_class_inside_itself_is_taken(make, chest_set):
    make.write(chest_set / "train/NORMAL/NORMAL/a.png", b"x")
    assert [entry.label for entry in list_folder(chest_set).entries if entry.path.endswith("/a.png")] == ["NORMAL"]


def test_split_folders_are_taken_as_people_spell_them(make, tmp_path):
    for name in ("Training/NORMAL/a.png", "dev/PNEUMONIA/b.png", "Hold-Out/NORMAL/c.png", "testing/PNEUMONIA/d.png"):
        make.write(tmp_path / "set" / name, b"x")
    splits = {entry.path.split("/")[0]: entry.split for entry in list_folder(tmp_path / "set").entries}
    assert splits == {"Training": "train", "dev": "train", "Hold-Out": "test", "testing": "test"}


def test_splits_inside_class_folders_are_taken(make, tmp_path):
    for name in ("NORMAL/test/a.png", "NORMAL/train/b.png", "PNEUMONIA/p1/Hold-Out/c.png", "PNEUMONIA/val/d.png"):
        make.write(tmp_path / "set" / name, b"x")
    splits = {entry.path.split("/", 1)[1]: entry.split for entry in list_folder(tmp_path / "set").entries}
    assert splits == {"test/a.png": "test", "train/b.png": "train", "p1/Hold-Out/c.png": "test", "val/d.png": "train"}


def test_a_split_inside_another_is_refused_by_name(make, chest_set):
    make.write(chest_set / "train/NORMAL/test/a.png", b"x")
    with pytest.raises(DataError, match=r"path 'train/NORMAL/test' has 'train' and 'test': move these images"):
        list_folder(chest_set)


def test_a_split_folder_of_another_name_is_refused_not_skipped(make, chest_set):
    make.write(chest_set / "evaluation/NORMAL/a.png", b"x")
    with pytest.raises(DataError, match="has a folder 'evaluation/NORMAL'"):
        list_folder(chest_set)


def test_a_second_copy_of_class_folders_is_skipped(make, tmp_path):
    for name in ("NORMAL/a.png", "PNEUMONIA/b.png", "copy/NORMAL/a.png"):
        make.write(tmp_path / name, b"x")
    listing = list_folder(tmp_path)
    assert [entry.path for entry in listing.entries] == ["NORMAL/a.png", "PNEUMONIA/b.png"]
    assert listing.skipped == {"nested second copy": 1}
