import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from pneumo.data.store import image_store
from pneumo.data.store.decode import decode
from pneumo.data.store.decoded_rows import Shelf
from pneumo.data.store.image_store import decode_all
from pneumo.errors import DataError


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the images that are decoded from now on."""
    names: list[str] = []
    monkeypatch.setattr(
        image_store, "decode", lambda data, size, fit, name: names.append(name) or decode(data, size, fit)
    )
    return names


def test_rows_are_in_manifest_order_and_equal_to_single_decoding(made):
    version, home = made
    store = decode_all(version, home, 40, "pad")
    rows = np.load(store.path, mmap_mode="r")
    assert rows.shape == (version.images, 40, 40)
    assert rows.dtype == np.uint8
    for row, path in zip(rows, pd.read_parquet(version.manifest)["path"], strict=True):
        assert np.array_equal(row, decode(version.root / path, 40, "pad"))


def test_the_usual_form_was_decoded_while_bringing_in(make, chest_set, home, decoded):
    version = make.version_of(str(chest_set), home)
    store = decode_all(version, home, 224, "squash")
    assert decoded == []
    assert np.load(store.path).mean() > 10


def test_a_second_call_does_nothing_and_growth_decodes_only_what_is_new(make, chest_set, home, decoded):
    version = make.version_of(str(chest_set), home)
    first = decode_all(version, home, 32, "pad")
    assert len(decoded) == 48
    assert decode_all(version, home, 32, "pad") == first
    for number in range(5):
        make.write(chest_set / f"train/NORMAL/IM-9{number}-1.jpeg", make.encoded(make.picture(900 + number)))
    grown = make.version_of(str(chest_set), home)
    second = decode_all(grown, home, 32, "pad")
    assert len(decoded) == 53
    assert second.images == 53
    old, new = pd.read_parquet(version.manifest), pd.read_parquet(grown.manifest)
    kept = new.index[new["sha256"].isin(set(old["sha256"]))]
    assert np.array_equal(np.load(second.path)[kept], np.load(first.path))


def test_killed_while_decoding_it_goes_on_and_nothing_half_written_is_read(make, chest_set, home, monkeypatch):
    version = make.version_of(str(chest_set), home)
    monkeypatch.setattr(image_store, "BLOCK", 10)
    calls: list[str] = []
    twenty_fifth = pd.read_parquet(version.manifest)["path"][24]

    def dies(data, size, fit, name):
        calls.append(name)
        if name == twenty_fifth and calls.count(name) == 1:
            raise KeyboardInterrupt
        return decode(data, size, fit)

    monkeypatch.setattr(image_store, "decode", dies)
    with pytest.raises(KeyboardInterrupt):
        decode_all(version, home, 32, "squash")
    assert len(Shelf(home, 32, "squash").find(set(pd.read_parquet(version.manifest)["sha256"]))) == 20
    before = len(calls)
    decode_all(version, home, 32, "squash")
    assert len(calls) - before == 28


def test_a_block_without_its_final_name_is_not_read(tmp_path):
    shelf = Shelf(tmp_path, 16, "pad")
    half = tmp_path / "cache" / "pixels" / ".abc.12345678"
    half.mkdir(parents=True)
    shelf.write(half, ["aa"], [np.zeros((16, 16), np.uint8)])
    assert shelf.find({"aa"}) == {}


def test_blocks_are_removed_once_a_store_holds_their_rows(make, chest_set, home):
    version = make.version_of(str(chest_set), home)
    assert any((home / "cache" / "pixels").iterdir())
    decode_all(version, home, 224, "squash")
    assert not any((home / "cache" / "pixels").iterdir())


def test_blocks_of_others_stay(tmp_path):
    shelf = Shelf(tmp_path, 16, "pad")
    shelf.put({"mine": np.zeros((16, 16), np.uint8)})
    shelf.put({"mine": np.zeros((16, 16), np.uint8), "theirs": np.ones((16, 16), np.uint8)})
    shelf.tidy({"mine"})
    assert shelf.find({"mine", "theirs"}).keys() == {"mine", "theirs"}
    assert len(list(tmp_path.glob("cache/pixels/*"))) == 1


def test_a_file_that_changed_since_is_refused(make, chest_set, home):
    version = make.version_of(str(chest_set), home)
    make.write(chest_set / "train/NORMAL/IM-0002-0000.jpeg", make.encoded(make.picture(77)))
    with pytest.raises(DataError, match=r"Expected train/NORMAL/IM-0002-0000.jpeg as it was brought in"):
        decode_all(version, home, 32, "pad")


def test_the_store_is_found_again_when_the_set_moved(make, chest_set, home, tmp_path, decoded):
    decode_all(make.version_of(str(chest_set), home), home, 32, "pad")
    moved = shutil.move(chest_set, tmp_path / "moved")
    decode_all(make.version_of(str(moved), home), home, 32, "pad")
    assert len(decoded) == 48


def test_rows_are_read_only_when_nobody_else_may_be_removing_the_blocks(made):
    version, home = made
    manifest, shelf = pd.read_parquet(version.manifest), Shelf(home, 40, "squash")
    image_store.decode_missing(manifest, version.root, shelf)
    lock = image_store._alone(shelf)
    with ThreadPoolExecutor(1) as pool:
        with lock:
            reading = pool.submit(image_store.read_rows, manifest, version.root, shelf)
            with pytest.raises(TimeoutError):
                reading.result(timeout=0.5)
            for block in (home / "cache" / "pixels").glob("[!.]*"):
                shutil.rmtree(block)
        assert reading.result(timeout=60).shape == (len(manifest), 40, 40)
