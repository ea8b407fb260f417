import os
import subprocess
import sys

import pytest

from pneumo.operations import reconcile

CLAIM = """
import sys
from pathlib import Path
from pneumo.operations import reconcile
reconcile.claim(Path(sys.argv[1]), "run")
"""


def test_a_run_whose_process_died_is_found(tmp_path):
    subprocess.run([sys.executable, "-c", CLAIM, str(tmp_path)], check=True)
    assert reconcile.dead(tmp_path) == ["run"]


def test_a_run_that_works_or_has_ended_is_left_alone(tmp_path):
    reconcile.claim(tmp_path, "mine")
    assert reconcile.dead(tmp_path) == []
    subprocess.run([sys.executable, "-c", CLAIM, str(tmp_path)], check=True)
    reconcile.release(tmp_path, "run")
    assert reconcile.dead(tmp_path) == []


def test_a_reused_pid_counts_as_dead(tmp_path):
    process = reconcile.Process(pid=os.getpid(), created=1.0, host=reconcile.socket.gethostname())
    file = tmp_path / "runs" / "old" / "process.json"
    file.parent.mkdir(parents=True)
    file.write_text(process.model_dump_json())
    assert reconcile.dead(tmp_path) == ["old"]


@pytest.mark.parametrize("text", ["", "{}", '{"pid": 1'])
def test_a_half_written_claim_is_not_taken_for_death(tmp_path, text):
    file = tmp_path / "runs" / "new" / "process.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert reconcile.dead(tmp_path) == []


def test_another_machines_run_is_not_ours_to_judge(tmp_path):
    file = tmp_path / "runs" / "far" / "process.json"
    file.parent.mkdir(parents=True)
    file.write_text(reconcile.Process(pid=1, created=1.0, host="elsewhere").model_dump_json())
    assert reconcile.dead(tmp_path) == []
