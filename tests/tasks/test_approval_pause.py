"""Approval by a person: the flow run pauses on a real Prefect server, with the evidence and a form on its page."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pneumo.operations.prefect_api import PrefectApi

PROJECT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
from prefect import flow
from pneumo.settings import load_settings
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Evaluation
from tasks.promotion import promote

job = json.loads(Path(sys.argv[1]).read_text())

@flow(name="approving")
def approving():
    settings = load_settings()
    evaluation, version = Evaluation(**job["evaluation"]), DatasetVersion(**job["version"])
    return promote([evaluation], version, [], settings, settings.home, job["parent"])

print(approving().model_dump_json())
"""
MINE = {"flows": {"name": {"any_": ["approving"]}}}
pytestmark = pytest.mark.services


class Run:
    """A flow run that waits for an answer."""

    def __init__(self, world: Any, api: str, hours: float) -> None:
        self.api, self.id, job = api, "", world.folder / "job.json"
        parts = {"evaluation": world.candidate("candidate", noise=1.0), "version": world.version}
        told = {name: part.model_dump(mode="json") for name, part in parts.items()}
        job.write_text(json.dumps(told | {"parent": world.parent}))
        environment = os.environ | {
            "PREFECT_API_URL": api,
            "PREFECT_HOME": str(world.folder / "prefect"),
            "PNEUMO_HOME": str(world.home),
            "PNEUMO_TRACKING__URI": world.tracker.uri,
            "PNEUMO_REGISTRY__MODEL": world.name,
            "PNEUMO_PROMOTION__MINIMUM_SPECIFICITY": "0.2",
            "PNEUMO_PROMOTION__MAXIMUM_CALIBRATION_ERROR": "0.3",
            "PNEUMO_PROMOTION__APPROVAL": "true",
            "PNEUMO_PROMOTION__APPROVAL_HOURS": str(hours),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(job)],
            env=environment, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def paused(self) -> "Run":
        """Wait until it asks."""
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and self.process.poll() is None:
            # Other tests leave paused runs of other flows on the same server.
            found = self.ask("/flow_runs/filter", MINE | {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}})
            if found:
                self.id = found[0]["id"]
                return self
            time.sleep(0.5)
        self.process.kill()
        pytest.fail(f"the flow did not pause: {self.process.communicate()[1][-3000:]}")

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        return PrefectApi(self.api, timeout=60).ask("POST", path, body)

    def decision(self) -> dict[str, Any]:
        out, errors = self.process.communicate(timeout=180)
        assert self.process.returncode == 0, errors[-3000:]
        return dict(json.loads(out.splitlines()[-1]))

    def state(self) -> str:
        runs = self.ask("/flow_runs/filter", MINE | {"sort": "START_TIME_DESC", "limit": 1})
        return str(runs[0]["state_type"])


def test_a_person_approves_in_prefect_s_page(world: Any, prefect_server: str, browser: Any) -> None:
    run = Run(world, prefect_server, hours=1).paused()
    page = browser.new_page(viewport={"width": 1400, "height": 1200})
    page.set_default_timeout(120_000)
    page.goto(f"{prefect_server.removesuffix('/api')}/runs/flow-run/{run.id}")
    page.get_by_role("button", name="Resume").first.click()
    page.get_by_text("All gates hold").wait_for()
    assert page.get_by_text("registered version in a fresh process").is_visible()
    page.locator(".p-modal textarea").first.fill("Dr Who")
    page.locator(".p-modal .p-toggle__control").click()
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("button", name="Submit").wait_for(state="hidden")
    decision = run.decision()
    assert decision["promoted"], decision["reason"]
    assert decision["rows"][-1]["value"] == "approved by Dr Who"
    assert world.aliases()["champion"] == "1" and run.state() == "COMPLETED"


def test_a_rejection_is_a_result_with_its_reason(world: Any, prefect_server: str) -> None:
    run = Run(world, prefect_server, hours=1).paused()
    refused = run.ask(f"/flow_runs/{run.id}/resume", {"run_input": {"approve": "perhaps", "name": "A"}})
    assert refused["status"] == "REJECT"
    word = {"approve": False, "name": "Dr Who", "reason": "it looks at the corners"}
    run.ask(f"/flow_runs/{run.id}/resume", {"run_input": word})
    decision = run.decision()
    assert not decision["promoted"]
    assert "approval by a person is rejected by Dr Who: it looks at the corners" in decision["reason"]
    assert world.aliases()["champion"] is None and run.state() == "COMPLETED"
    assert world.moves() == [("rejection", "1", False)]


def test_silence_is_a_rejection_and_not_a_failure(world: Any, prefect_server: str) -> None:
    run = Run(world, prefect_server, hours=0.002)
    decision = run.decision()
    assert not decision["promoted"] and "nobody answered within 0.002 h" in decision["reason"]
    assert run.state() == "COMPLETED"
