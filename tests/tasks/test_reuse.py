from pathlib import Path

import pytest

from pneumo.stages import Interval, Record
from tasks.reuse import key, reused

SPEC = Interval(value=0.5, low=0.4, high=0.6)


class Thing(Record):
    file: Path


@pytest.fixture
def stage():
    """A stage that writes a file, and a list with an item each time it works."""
    done = []

    @reused("thing", "errors.py")
    def make(name: str, home: Path, run_id: str = "") -> Thing:
        done.append(name)
        file = home / name
        file.write_text(name)
        return Thing(file=file)

    return make.fn, done


def test_the_same_work_is_done_once_whichever_run_asks(tmp_path, stage):
    make, done = stage
    assert make("a", tmp_path, run_id="1") == make("a", tmp_path, run_id="2")
    assert done == ["a"]


def test_other_work_or_other_code_has_another_key():
    spec, other = {"spec": SPEC}, {"spec": SPEC.model_copy(update={"low": 0.3})}
    code = ("errors.py",)
    keys = {key("a", spec, code), key("a", other, code), key("b", spec, code), key("a", spec, ("stages.py",))}
    assert len(keys) == 4


def test_a_result_whose_files_were_removed_is_made_again(tmp_path, stage):
    make, done = stage
    make("a", tmp_path).file.unlink()
    assert make("a", tmp_path).file.is_file()
    assert done == ["a", "a"]


@pytest.mark.parametrize("content", [b"", b'{"file": "/et', b'{"other": 1}'])
def test_half_a_record_is_made_again(tmp_path, stage, content):
    make, done = stage
    make("a", tmp_path)
    (record,) = (tmp_path / "cache" / "results").iterdir()
    record.write_bytes(content)
    make("a", tmp_path)
    assert done == ["a", "a"]
