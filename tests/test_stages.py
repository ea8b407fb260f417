import pytest

from pneumo.stages import Interval, code_version, stage_key, written_once


def test_same_inputs_same_key_other_inputs_other_key():
    half = Interval(value=0.5, low=0.4, high=0.6)
    assert stage_key("a", x=1, y=half) == stage_key("a", y=half, x=1)
    assert len({stage_key("a", x=1), stage_key("a", x=2), stage_key("b", x=1)}) == 3


def test_a_key_of_something_else_is_refused():
    with pytest.raises(TypeError, match="a stage key takes JSON values, paths and records, not object"):
        stage_key("a", x=object())


def test_other_code_has_another_version():
    assert code_version("stages.py") == code_version("stages.py") != code_version("errors.py")


def test_a_finished_folder_is_complete(tmp_path):
    with written_once(tmp_path / "done") as scratch:
        (scratch / "file").write_text("x")
        assert not (tmp_path / "done").exists()
    assert (tmp_path / "done" / "file").read_text() == "x"


def test_a_failed_block_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="disk full"), written_once(tmp_path / "done"):
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_the_first_to_finish_wins(tmp_path):
    with written_once(tmp_path / "done") as scratch:
        (scratch / "file").write_text("late")
        with written_once(tmp_path / "done") as first:
            (first / "file").write_text("first")
    assert (tmp_path / "done" / "file").read_text() == "first"
