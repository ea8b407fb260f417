"""Four flow runs at once: all complete, no database says that it is locked, one of them is champion."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.team
MODEL = "pneumonia-classifier-phantom"
SMALL = {"data": "phantom:48", "backbones": ["MobileNet:0.25"], "epochs": 1, "image_size": 32, "ensemble": False}


@pytest.fixture(scope="module")
def runs(team):
    def run(seed):
        pairs = [
            part
            for name, value in {**SMALL, "seed": seed}.items()
            for part in ("--param", f"{name}={json.dumps(value)}")
        ]
        return team.call(
            "prefect", "deployment", "run", "pneumonia/train", "--watch", *pairs, PREFECT_API_URL=f"{team.prefect}/api"
        )

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(run, range(4)))


def test_all_complete(runs):
    assert [run.returncode for run in runs] == [0] * 4, [run.stdout[-2000:] for run in runs]


def test_they_overlapped(team, runs):
    rows = team.ask("prefect", "select start_time, end_time from flow_run where parameters->>'data' = 'phantom:48'")
    assert len(rows) == 4
    assert max(start for start, _ in rows) < min(end for _, end in rows)


def test_no_log_tells_of_a_lock(team, runs):
    for log in (team.home / "services").glob("*.log"):
        text = log.read_text(errors="replace").lower()
        for words in ("database is locked", "deadlock", "could not serialize", "too many connections"):
            assert words not in text, (log, words)


def test_one_is_champion_and_every_run_has_its_version(team, runs):
    versions = team.ask("mlflow", f"select version from model_versions where name = '{MODEL}'")
    champions = team.ask(
        "mlflow", f"select version from registered_model_aliases where name = '{MODEL}' and alias = 'champion'"
    )
    assert len(champions) == 1
    assert {champions[0][0]} <= {row[0] for row in versions}
    assert {row[0] for row in team.ask("mlflow", "select status from runs")} == {"FINISHED"}
