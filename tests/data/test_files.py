import threading

import pytest

from pneumo.data.files import whole, write_whole


def test_several_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    """Such as a look and a retraining, which both fetch a new champion's manifest."""
    failed = []

    def write(number):
        try:
            for _ in range(100):
                write_whole(tmp_path / "a", bytes([number]) * 50_000)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(set((tmp_path / "a").read_bytes())) == 1 and [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_could_not_be_written_leaves_the_old_file_and_nothing_else(tmp_path):
    write_whole(tmp_path / "a", b"old")
    with pytest.raises(OSError, match="full"), whole(tmp_path / "a") as scratch:
        scratch.write_bytes(b"half")
        raise OSError("full")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path):
    write_whole(tmp_path / ("a" * 255), b"x")
    assert (tmp_path / ("a" * 255)).read_bytes() == b"x"
