"""Flow runs and MLflow runs as a killed process leaves them, on real servers."""

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pneumo.operations.prefect_api import POOL, TRAINING_QUEUE, PrefectApi
from pneumo.settings import Settings
from pneumo.settings.servers import Services, Tracking
from pneumo.tracking import Tracker

DIE = "import sys; from pathlib import Path; from pneumo.operations.flow_runs import claims; "
DIE += "claims.claim(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))"


@dataclass
class Prefect:
    """A Prefect server, with what only a worker or a flow would ask of it."""

    api: PrefectApi

    def ask(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return self.api.ask(method, path, body)  # asks a busy server again, as Prefect's own client does

    def deployment(self, name: str, cron: str | None = None, of: str = "pneumonia") -> str:
        """The id of a deployment of a flow in the training queue; there is nothing behind it."""
        flow = self.ask("POST", "/flows/", {"name": of})["id"]
        place: dict[str, Any] = {"work_pool_name": POOL, "work_queue_name": TRAINING_QUEUE, "entrypoint": "x.py:x"}
        place["schedules"] = [{"schedule": {"cron": cron, "timezone": "UTC"}}] if cron else []
        return str(self.ask("POST", "/deployments/", {"name": name, "flow_id": flow, **place})["id"])

    def run(self, deployment: str, *states: str, due: str | None = None, parameters: Any = None) -> str:
        """A flow run that goes through states of these types."""
        first: dict[str, Any] = {"type": "SCHEDULED"} | ({"state_details": {"scheduled_time": due}} if due else {})
        body = {"state": first, "parameters": parameters or {}}
        run_id = str(self.ask("POST", f"/deployments/{deployment}/create_flow_run", body)["id"])
        for state in states:
            self.ask("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": state}, "force": True})
        return run_id

    def task(self, run_id: str, state: str) -> str:
        """A task run in a state of this type."""
        body = {"flow_run_id": run_id, "task_key": "train", "dynamic_key": uuid.uuid4().hex}
        task_id = str(self.ask("POST", "/task_runs/", body)["id"])
        self.ask("POST", f"/task_runs/{task_id}/set_state", {"state": {"type": state}, "force": True})
        return task_id

    def taken(self, run_id: str, worker: str) -> None:
        """Have a worker of that name take a run, as far as Prefect knows."""
        self.ask("PATCH", f"/flow_runs/{run_id}/labels", {"prefect.worker.name": worker})

    def heartbeat(self, run_id: str, deployment: str) -> None:
        """What a flow run's process sends every half a minute."""
        event = {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "prefect.flow-run.heartbeat",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{run_id}"},
            "related": [
                {"prefect.resource.id": f"prefect.deployment.{deployment}", "prefect.resource.role": "deployment"}
            ],
        }
        self.ask("POST", "/events", [event])

    def state(self, run_id: str) -> tuple[str, str]:
        run = self.api.run(run_id)
        return run["state_type"], run["state"]["message"] or ""


@pytest.fixture
def prefect(prefect_server: str) -> Prefect:
    return Prefect(PrefectApi(prefect_server, timeout=60))


@pytest.fixture
def settings(tmp_path: Path, mlflow_server: str, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A user's settings: a fresh state folder and experiment, and both real servers."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    port = int(prefect_server.removesuffix("/api").rpartition(":")[2])
    tracking = Tracking(uri=mlflow_server, experiment=uuid.uuid4().hex)
    return Settings(home=tmp_path, tracking=tracking, services=Services(prefect_port=port))


@pytest.fixture
def tracker(settings: Settings) -> Tracker:
    return Tracker(settings.tracking_uri, settings.tracking.experiment)


@pytest.fixture
def die_running(tmp_path: Path) -> Any:
    """Has a process claim a flow run and die."""

    def die(flow_run_id: str, attempt: int = 1) -> None:
        environment = {**os.environ, "PREFECT__FLOW_RUN_ID": flow_run_id}
        command = [sys.executable, "-c", DIE, str(tmp_path), flow_run_id, str(attempt)]
        subprocess.run(command, env=environment, check=True)

    return die
