"""Notes of processes in the state folder, and which of them prove a death."""

import os
import time

import psutil
import pytest

from pneumo.errors import TrackingError
from pneumo.operations.flow_runs import claims

OLD = 10_000  # seconds


def claim_of(folder, name, text, age=0.0):
    file = folder / "runs" / name / "process.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    then = time.time() - age
    os.utime(file, (then, then))
    return file


def process(**changes):
    mine = {"pid": os.getpid(), "created": psutil.Process().create_time(), "host": os.uname().nodename}
    return claims.Process(**mine | changes).model_dump_json()


def test_a_run_whose_process_died_is_found(tmp_path, die_running):
    die_running("run")
    assert claims.dead(tmp_path) == ["run"]


def test_a_run_that_works_or_has_ended_is_left_alone(tmp_path, die_running):
    claims.claim(tmp_path, "mine")
    assert claims.dead(tmp_path) == []
    die_running("run")
    claims.release(tmp_path, "run")
    assert claims.dead(tmp_path) == []


def test_a_reused_pid_counts_as_dead(tmp_path):
    claim_of(tmp_path, "old", process(created=1.0))
    assert claims.dead(tmp_path) == ["old"]


def test_a_clock_that_was_set_kills_nobody(tmp_path):
    created = psutil.Process().create_time()
    claim_of(tmp_path, "running", process(created=created + 5))
    assert claims.dead(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", '{"pid": 1'])
def test_a_damaged_note_proves_no_death(tmp_path, text):
    claim_of(tmp_path, "new", text)
    claim_of(tmp_path, "old", text, age=OLD)
    assert claims.dead(tmp_path) == []
    assert claims.living(tmp_path) == {"new"}


def test_another_machines_run_is_never_dead_by_its_silence(tmp_path):
    claim_of(tmp_path, "far", process(pid=1, host="elsewhere"))
    claim_of(tmp_path, "silent", process(pid=1, host="elsewhere"), age=OLD)
    assert claims.dead(tmp_path) == []
    assert claims.living(tmp_path) == {"far"}
    assert claims.claimed_runs(tmp_path) == {"far", "silent"}


def test_a_claim_shows_signs_of_life_until_it_is_released(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "BEAT", 0.01)
    file = tmp_path / "runs" / "mine" / "process.json"
    with claims.claimed(tmp_path, "mine"):
        os.utime(file, (1, 1))
        while file.stat().st_mtime < 2:
            time.sleep(0.01)
    assert not file.exists()


def test_the_note_stays_when_mlflow_could_not_be_told(tmp_path):
    with pytest.raises(TrackingError), claims.claimed(tmp_path, "mine"):
        raise TrackingError("gone")
    assert (tmp_path / "runs" / "mine" / "process.json").is_file()
