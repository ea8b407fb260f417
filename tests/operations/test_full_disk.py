"""A disk that fills up in the middle: a clear error, and what was there stays whole."""

import ctypes
import os
import sqlite3
import subprocess

import numpy as np
import pytest

from pneumo.cache import written_once
from pneumo.data.file_cache import FileCache, Stamp
from pneumo.data.files import write_whole
from pneumo.data.sources import phantom, schemes
from pneumo.errors import DataError, TrainingError
from pneumo.settings.data import Data
from pneumo.training.process import checkpoint

MIB = 2**20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of four MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=4m") != 0:
        pytest.skip(f"a file system of our own cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk, leave):
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    (disk / "filler").write_bytes(b"x" * (free - leave))


def test_the_old_checkpoint_stays(small_disk):
    file = small_disk / "checkpoints" / "checkpoint.npz"
    checkpoint.save(file, {"network": [np.ones(1000)]}, {"epoch": 1})
    fill(small_disk, leave=MIB // 4)
    with pytest.raises(TrainingError, match=r"Expected to write a checkpoint in .*No space left"):
        checkpoint.save(file, {"network": [np.ones(MIB)]}, {"epoch": 2})
    arrays, state = checkpoint.load(file)
    assert state == {"epoch": 1}
    assert arrays["network"][0].sum() == 1000
    assert [entry.name for entry in file.parent.iterdir()] == ["checkpoint.npz"]


def test_a_stage_leaves_no_half_result(small_disk):
    fill(small_disk, leave=MIB // 4)
    folder = small_disk / "cache" / "stage" / "key"
    with pytest.raises(OSError, match="No space left"), written_once(folder) as scratch:
        (scratch / "result").write_bytes(b"x" * MIB)
    assert list(folder.parent.iterdir()) == []


def test_a_record_that_is_replaced_stays_as_it_was(small_disk):
    write_whole(small_disk / "record.json", b"old")
    fill(small_disk, leave=0)
    with pytest.raises(OSError, match="No space left"):
        write_whole(small_disk / "record.json", b"new" * MIB)
    assert (small_disk / "record.json").read_bytes() == b"old"


def test_measurements_of_files_stay_readable(small_disk):
    cache = FileCache(small_disk / "files.sqlite", "code")
    stamps = [Stamp(f"/{number}", 1, 1) for number in range(20_000)]
    cache.put({stamps[0]: {"mean": 1.0}})
    fill(small_disk, leave=MIB // 4)
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        cache.put({stamp: {"mean": 2.0, "text": "x" * 200} for stamp in stamps})
    (small_disk / "filler").unlink()
    assert cache.get(stamps[:2]) == {"/0": {"mean": 1.0}}
    with sqlite3.connect(small_disk / "files.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_bringing_data_in_says_what_to_do_and_goes_on_later(small_disk, tmp_path):
    source = phantom.draw(tmp_path / "pool", 60)
    fill(small_disk, leave=MIB // 2)
    with pytest.raises(DataError, match=r"the disk refuses.*PNEUMO_HOME"):
        schemes.ingest(str(source), small_disk, Data())
    (small_disk / "filler").unlink()
    assert schemes.ingest(str(source), small_disk, Data()).images == 59
