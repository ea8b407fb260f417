"""`pneumo approve` with ids that nobody waits under."""

import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.errors import ServiceError


@pytest.mark.services
@pytest.mark.parametrize("run", ["nonsense", "a/b?c", "00000000-0000-0000-0000-000000000000"])
def test_a_run_that_prefect_does_not_know_is_named_with_what_to_do(prefect_server, monkeypatch, run):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    done = CliRunner().invoke(app, ["approve", run])
    assert isinstance(done.exception, ServiceError)
    assert f"Expected the id of a run that waits for a person, got {run}, which Prefect does not know" in str(
        done.exception
    )
