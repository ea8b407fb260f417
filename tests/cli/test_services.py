"""`pneumo up`, `down` and `status`: where the logs are, and a state folder that cannot be one."""

import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.errors import DataError


def test_a_path_is_shown_as_it_is_and_whole(tmp_path, monkeypatch):
    """Brackets were taken for styles, and a pipe of 80 columns cut the path."""
    home = tmp_path / "scans[old]" / "x[" / "b]" / ("a-long-name" * 3)
    monkeypatch.setenv("PNEUMO_HOME", str(home))
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert str(home / "services/prefect.log") in "".join(line[lines[0].index("log") :].strip() for line in lines)


@pytest.mark.parametrize("command", ["status", "down", "up", "train"])
def test_a_state_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch, command):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PNEUMO_HOME", str(tmp_path / "file/state"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    done = CliRunner().invoke(app, [command])
    assert isinstance(done.exception, DataError)
    assert f"Expected to write in the state folder, but the disk refuses at {tmp_path}/file/state" in str(
        done.exception
    )
