import importlib
import os
import shutil
from pathlib import Path

import pytest

from pneumo import cache
from pneumo.cache import code_version, is_kept, stage_key, tell_made, watching, written_once
from pneumo.records.base import Interval


def test_same_inputs_same_key_other_inputs_other_key():
    half = Interval(value=0.5, low=0.4, high=0.6)
    assert stage_key("a", x=1, y=half) == stage_key("a", y=half, x=1)
    assert len({stage_key("a", x=1), stage_key("a", x=2), stage_key("b", x=1)}) == 3


def test_a_key_of_something_else_is_refused():
    with pytest.raises(TypeError, match="a stage key takes JSON values, paths and records, not object"):
        stage_key("a", x=object())


def test_other_code_has_another_version():
    assert code_version("records") == code_version("records") != code_version("errors.py")


@pytest.mark.parametrize(
    ("library", "part"),
    [
        ("pillow", "data/store/decode.py"),
        ("pydicom", "data/dicom/__init__.py"),
        ("python-gdcm", "data/dicom/__init__.py"),
        ("python-gdcm", "serving"),
        ("scipy", "data/image_statistics.py"),
        ("scipy", "evaluation/robustness/simulated_shift.py"),
        ("keras", "training"),
    ],
)
def test_an_upgrade_of_a_library_is_another_version_of_the_parts_that_compute_with_it(monkeypatch, library, part):
    before, elsewhere = code_version(part), code_version("errors.py")
    real = cache._installed
    monkeypatch.setattr(cache, "_installed", lambda name: "99.0" if name == library else real(name))
    assert code_version(part) != before
    assert code_version("errors.py") == elsewhere


@pytest.mark.parametrize(
    ("stage", "called"),
    [
        ("pneumo.training.networks.frozen_features", "training/dataset_images.py"),
        ("pneumo.evaluation.label_audit.audit", "training/dataset_images.py"),
        ("pneumo.evaluation.label_audit.audit", "data/splits.py"),
        ("pneumo.evaluation.robustness.shift_audit", "training/dataset_images.py"),
        ("pneumo.evaluation.robustness.shift_audit", "data/dicom/frames.py"),
        ("pneumo.evaluation.external.validation", "data/gray_levels.py"),
    ],
)
def test_the_code_of_what_a_stage_calls_is_in_its_key(monkeypatch, tmp_path, stage, called):
    """Without `predict`, features would be found again that the code of today does not give."""
    parts = importlib.import_module(stage).CODE
    before, package = cache._source(tuple(sorted(parts))), Path(cache.__file__).parent
    copy = shutil.copytree(package, tmp_path / "pneumo", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / called).write_text("changed")
    monkeypatch.setattr(cache, "__file__", str(copy / "cache.py"))
    cache._source.cache_clear()
    assert cache._source(tuple(sorted(parts))) != before
    cache._source.cache_clear()


def test_another_backend_of_keras_is_another_version_of_training_and_not_of_data(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    training, data = code_version("training"), code_version("data")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert code_version("training") != training and code_version("data") == data


def test_the_backend_is_the_one_that_keras_takes(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache.backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert cache.backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert cache.backend() == "torch"


def test_a_result_that_is_asked_for_counts_as_used(tmp_path):
    assert not is_kept(tmp_path / "done")
    (tmp_path / "done").mkdir()
    os.utime(tmp_path / "done", (0, 0))
    assert is_kept(tmp_path / "done")
    assert (tmp_path / "done").stat().st_mtime > 0


def test_what_is_made_is_told_and_what_is_found_is_not(tmp_path):
    with watching() as made, written_once(tmp_path / "done"):
        pass
    assert made == [tmp_path / "done"]
    with watching() as made:
        assert is_kept(tmp_path / "done")
    assert made == []
    tell_made(tmp_path)  # nobody watches
    assert made == []


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
