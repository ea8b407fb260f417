"""Two people, by their logins: one runs a flow, another one answers with `pneumo approve`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.test_approval_pause import Run

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.services


def test_the_word_of_another_person_promotes(world: Any, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_PROMOTION__APPROVAL", "true")
    monkeypatch.setenv("PNEUMO_PROMOTION__TWO_PEOPLE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of whoever it is")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    run = Run(world, prefect_server, hours=1).paused()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("PNEUMO_TRACKING__URI", world.tracker.uri)
    command = [sys.executable, "-m", "pneumo.cli", "approve", run.id, "--reason", "seen"]
    told = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    decision = run.decision()
    assert decision["promoted"], decision["reason"]
    assert decision["rows"][-1]["value"] == "approved by bob: seen"
    again = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "Expected the run" in again.stderr
