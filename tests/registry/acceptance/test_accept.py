"""A version on labelled images of another place: its figures there, by the function, the command and the flow."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from tests.docs.blocks import PROJECT
from tests.registry.acceptance.place import LIMITS, ask


def evidence(world: Any, run_url: str, folder: Path) -> Path:
    return world.tracker.files.download(f"runs:/{run_url.partition('?')[0].rpartition('/')[2]}/accept", folder)


def test_a_version_is_measured_where_it_shall_work_and_nothing_is_registered(here: Any, tmp_path: Path) -> None:
    found = ask(here)
    assert found.images == {"NORMAL": 120, "PNEUMONIA": 60} and found.patients == 90
    assert found.before.auc.low > 0.8 and not found.generalises  # 1.0 at home, 0.91 here
    assert not found.accepted and "specificity is" in found.reason and "--calibrate 100" in found.advice
    assert (found.version, found.after, len(here.tracker.registry.versions(here.name))) == (None, None, 1)
    kept = evidence(here, found.run_url, tmp_path / "kept")
    assert {file.name for file in kept.rglob("*.*")} == {
        "report.json", "scored.parquet", "roc.png", "reliability.png", "confusion.png",
    }  # fmt: skip
    assert json.loads((kept / "report.json").read_text()) == found.model_dump(mode="json")


def test_no_patient_calibrates_and_judges(here: Any, tmp_path: Path) -> None:
    rows = pd.read_parquet(evidence(here, ask(here, calibrate=60).run_url, tmp_path) / "scored.parquet")
    sides = rows.groupby("patient")["calibrated_on"].nunique()
    assert set(sides) == {1} and rows["calibrated_on"].sum() == 60


def test_the_command_shows_both_points_and_how_to_use_the_new_one(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PNEUMO_HOME", str(here.home))
    monkeypatch.setenv("PNEUMO_TRACKING__URI", here.tracker.uri)
    monkeypatch.setenv("PNEUMO_REGISTRY__MODEL", here.name)
    for name, value in LIMITS.items():
        monkeypatch.setenv(f"PNEUMO_PROMOTION__{name.upper()}", str(value))
    done = CliRunner().invoke(app, ["accept", here.place, "--calibrate", "60"])
    assert done.exit_code == 0, done.output
    assert "here, new point" in done.output and "Too small to know every figure within 0.05" in done.output
    assert f"pneumo predict FOLDER --model models:/{here.name}@accepted" in done.output
    done = CliRunner().invoke(app, ["accept", here.place, "--json"])
    assert json.loads(done.stdout)["version"] is None


@pytest.mark.slow
def test_the_deployment_s_flow_does_the_same(here: Any, prefect_server: str) -> None:
    program = "import sys; from flows.accept import accept; print(accept(sys.argv[1], return_state=True).message)"
    environment = os.environ | {
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(here.folder / "prefect"),
        "PNEUMO_HOME": str(here.home),
        "PNEUMO_TRACKING__URI": here.tracker.uri,
        "PNEUMO_TRACKING__EXPERIMENT": here.tracker.experiment,
        "PNEUMO_REGISTRY__MODEL": here.name,
        **{f"PNEUMO_PROMOTION__{name.upper()}": str(value) for name, value in LIMITS.items()},
    }
    done = subprocess.run(
        [sys.executable, "-c", program, here.place],
        env=environment, cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Not accepted at our_xrays: specificity is" in done.stdout, done.stderr
    (run,) = here.tracker.runs.newest({"stage": "accept", "model": f"models:/{here.name}/1"})
    assert run.tags["prefect.flow_run_id"] and run.tags["accepted"] == "false"
