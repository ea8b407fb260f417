"""The stores for trials: what their script ends."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "infra" / "dev" / "team.sh"


@pytest.mark.skipif(not shutil.which("ps"), reason="ps is not installed")
def test_a_process_that_has_the_number_of_an_ended_server_goes_on(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "s3.pid").write_text(f"{process.pid}\n")
        subprocess.run([SCRIPT, "down", tmp_path], check=True, capture_output=True)
        assert process.poll() is None
        assert not (tmp_path / "s3.pid").exists()
    finally:
        process.communicate()
    assert process.returncode == 0
