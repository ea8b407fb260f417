"""Trainings that share a machine: what decides how many run at once, and with how many threads."""

import math
from types import SimpleNamespace

import pytest

from pneumo.data.parallel import workers
from pneumo.operations import machine_share
from pneumo.operations.estimate import GIB, memory
from pneumo.operations.machine_share import share_machine

CORES = workers()


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without a GPU, of 64 GiB, whose container has no limit."""
    monkeypatch.setattr(machine_share, "gpus", list)
    monkeypatch.setattr(machine_share.psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB))
    monkeypatch.setattr(machine_share, "LIMIT", tmp_path / "memory.max")
    return tmp_path


def test_all_trainings_run_at_once_where_memory_allows_and_share_the_cores():
    assert share_machine(3, 160) == (3, math.ceil(CORES / 3))


def test_little_memory_means_fewer_at_once(machine):
    (machine / "memory.max").write_text(f"{4 * memory(160)}\n", encoding="ascii")
    assert share_machine(3, 160) == (2, math.ceil(CORES / 2))


def test_a_training_that_does_not_fit_runs_alone_with_all_cores(machine):
    (machine / "memory.max").write_text(f"{GIB}\n", encoding="ascii")
    assert share_machine(3, 160) == (1, None)


def test_a_container_without_a_limit_has_the_memory_of_the_machine(machine):
    (machine / "memory.max").write_text("max\n", encoding="ascii")
    assert share_machine(3, 160).trainings == 3


def test_a_gpu_is_used_by_one_training_at_a_time(monkeypatch):
    monkeypatch.setattr(machine_share, "gpus", lambda: ["/dev/nvidia0"])
    assert share_machine(3, 160) == (1, None)


def test_the_setting_decides_where_it_is_given(monkeypatch):
    monkeypatch.setattr(machine_share, "gpus", lambda: ["/dev/nvidia0"])
    assert share_machine(3, 160, wanted=2).trainings == 2
    assert share_machine(1, 160, wanted=2) == (1, None)
