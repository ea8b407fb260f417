"""`pneumo status`: where the logs are."""

from typer.testing import CliRunner

from pneumo.cli import app


def test_a_path_is_shown_as_it_is_and_whole(tmp_path, monkeypatch):
    """Brackets were taken for styles, and a pipe of 80 columns cut the path."""
    home = tmp_path / "scans[old]" / "x[" / "b]" / ("a-long-name" * 3)
    monkeypatch.setenv("PNEUMO_HOME", str(home))
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert str(home / "services/prefect.log") in "".join(line[lines[0].index("log") :].strip() for line in lines)
