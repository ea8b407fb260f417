"""Calls of a Prefect server's REST API; importing Prefect itself would take seconds."""

import json
import os
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import httpx

from pneumo.errors import ServiceError
from pneumo.operations.prefect_client import PAGE, PrefectClient
from pneumo.settings import Settings
from pneumo.tracking.system import REQUESTER

POOL = "pneumo"
TRAINING_QUEUE = "training"
FLOWS = ("pneumonia", "pneumonia-predict")  # others may have deployments in the same pool
FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
UNDER_WAY = ("PENDING", "RUNNING", "CANCELLING")
OUTAGE_SECONDS = 300  # seconds that a run waits for a server that has gone away
UNREADABLE = httpx.codes.UNPROCESSABLE_ENTITY  # status for an id that is none
_IN_POOL = {"work_pools": {"name": {"any_": [POOL]}}}
_OURS = {**_IN_POOL, "flows": {"name": {"any_": list(FLOWS)}}}
MARK = "by-command-"  # prefix of keys of a flow run's inputs that Prefect's page cannot make


def address(settings: Settings) -> str:
    """Address of the Prefect API in force: PREFECT_API_URL, or the embedded server."""
    return (os.environ.get("PREFECT_API_URL") or settings.prefect_api).rstrip("/")


def page(settings: Settings, api: str) -> str:
    """Where a browser opens the pages of the Prefect server with this API."""
    if settings.services.prefect_page or api == settings.prefect_api:
        return settings.prefect_page
    return api.removesuffix("/api")


class PrefectApi(PrefectClient):
    """Work pool of a Prefect server, and pneumo's deployments and flow runs in it; other flows are others' own."""

    def ensure_pool(self, kind: str = "process", runs_at_once: int = 1, template: dict[str, Any] | None = None) -> None:
        """Create or update the work pool and its queue for trainings, which runs `runs_at_once` of them."""
        pool = {"base_job_template": template} if template else {}
        self.ask("POST", "/work_pools/", {"name": POOL, "type": kind, **pool}, accepted={httpx.codes.CONFLICT})
        if pool:
            self.ask("PATCH", f"/work_pools/{POOL}", pool)
        limit = {"concurrency_limit": runs_at_once}
        body = {"name": TRAINING_QUEUE, **limit}
        self.ask("POST", f"/work_pools/{POOL}/queues", body, accepted={httpx.codes.CONFLICT})
        self.ask("PATCH", f"/work_pools/{POOL}/queues/{TRAINING_QUEUE}", limit)

    def version(self) -> str:
        """The server's version of Prefect."""
        return str(self.ask("GET", "/admin/version"))

    def workers_online(self) -> list[str]:
        """Names of the pool's workers that have sent a heartbeat lately."""
        found = self.ask("POST", f"/work_pools/{POOL}/workers/filter", {}, accepted={httpx.codes.NOT_FOUND})
        return [worker["name"] for worker in found if worker["status"] == "ONLINE"] if isinstance(found, list) else []

    def worker_online(self, name: str) -> bool:
        """Whether the worker of that name has sent a heartbeat lately."""
        return name in self.workers_online()

    def deployment(self, name: str) -> dict[str, Any] | None:
        """The deployment `flow/deployment`, or None."""
        found = self.ask("GET", f"/deployments/name/{name}", accepted={httpx.codes.NOT_FOUND})
        return found if "id" in found else None

    def deployments(self) -> dict[str, str]:
        """Ids of the deployments by their names, without those of their flows."""
        found = self.pages("/deployments/filter", _OURS)
        return {item["name"]: str(item["id"]) for item in found}

    def ensure_automation(self, wanted: dict[str, Any]) -> None:
        """Create or replace the automation of that name."""
        body = {"automations": {"name": {"any_": [wanted["name"]]}}}
        found = self.pages("/automations/filter", body)
        if found:
            self.ask("PUT", f"/automations/{found[0]['id']}", wanted)
        else:
            self.ask("POST", "/automations/", wanted)

    def block(self, kind: str, name: str) -> dict[str, Any] | None:
        """Content of a block, or None."""
        path = f"/block_types/slug/{kind}/block_documents/name/{name}"
        found = self.ask("GET", path, accepted={httpx.codes.NOT_FOUND})
        return dict(found["data"]) if "data" in found else None

    def create_run(self, deployment: str, parameters: dict[str, Any], requester: str = "") -> str:
        """Create a run that starts now, in the name of `requester`; returns its id.

        Raises:
            ServiceError: no such deployment, or a parameter that its form refuses.
        """
        found = self.deployment(deployment)
        if found is None:
            raise ServiceError(
                f"Expected the deployment {deployment} on {self.url}, but it is not there: run `pneumo up`."
            )
        known = found["parameter_openapi_schema"].get("properties", {})
        if unknown := sorted(set(parameters) - set(known)):
            raise ServiceError(
                f"Expected parameters of {deployment}, got {', '.join(unknown)}: choose among {', '.join(known)}."
            )
        # With this key, a request that is sent twice because an answer was lost makes only one run.
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": uuid.uuid4().hex}
        body |= {"labels": {REQUESTER: requester}} if requester else {}
        return str(self.ask("POST", f"/deployments/{found['id']}/create_flow_run", body)["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """A flow run as the server has it."""
        found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run_id}")
        return found

    def find_run(self, run_id: str) -> dict[str, Any] | None:
        """A flow run, or None if the server does not know it."""
        found = self.ask("GET", f"/flow_runs/{run_id}", accepted={httpx.codes.NOT_FOUND, UNREADABLE})
        return found if "id" in found else None

    def runs(self, states: Iterable[str], deployment: str | None = None, others: bool = False) -> list[dict[str, Any]]:
        """Flow runs in states of these types, all or those of one deployment (its id), in order of time due.

        `others`: also those of others' flows in the pool.
        """
        wanted: dict[str, Any] = {"state": {"type": {"any_": list(states)}}}
        if deployment:
            wanted["deployment_id"] = {"any_": [deployment]}
        body = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_ASC"}
        if not deployment:
            body |= _IN_POOL if others else _OURS
        return self.pages("/flow_runs/filter", body)

    def cancel(self, run_id: str) -> None:
        """Ask the worker to end a run."""
        self.ask("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})

    def resume(self, run_id: str, answer: dict[str, Any]) -> None:
        """Answer a run that waits for a person, and leave a mark, which Prefect's page cannot do.

        The mark is there before the answer, since the run looks for it at once; one of a refused answer is taken back.

        Raises:
            ServiceError: the run does not wait, or not for such an answer.
        """
        waiting, mark = self.run(run_id)["state"], ""
        if keys := waiting["state_details"].get("run_input_keyset"):
            mark = f"{MARK}{keys['response']}-{uuid.uuid4().hex[:8]}"
            self.ask("POST", f"/flow_runs/{run_id}/input", {"key": mark, "value": json.dumps(answer)})
        told = self.ask("POST", f"/flow_runs/{run_id}/resume", {"run_input": answer})
        if told["status"] != "ACCEPT":
            if mark:
                self.ask("DELETE", f"/flow_runs/{run_id}/input/{mark}", accepted={httpx.codes.NOT_FOUND})
            reason = told["details"].get("reason") or "no reason given"
            raise ServiceError(f"Expected the run {run_id} to wait for this answer, but Prefect refused it: {reason}")

    def marks(self, run_id: str, key: str) -> list[dict[str, Any]]:
        """Answers that `resume` gave to a run's question, by the key under which Prefect keeps the answer."""
        body = {"prefix": f"{MARK}{key}-", "limit": PAGE}
        return [json.loads(item["value"]) for item in self.ask("POST", f"/flow_runs/{run_id}/input/filter", body)]

    def crash(self, run_id: str, message: str) -> None:
        """Mark a run whose process is gone as Crashed; this frees its place in the queue."""
        state = {"type": "CRASHED", "message": message}
        self.ask("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})

    def crash_task(self, task_id: str, message: str) -> None:
        """Mark a task that died with its flow run as Crashed."""
        state = {"type": "CRASHED", "message": message}
        self.ask("POST", f"/task_runs/{task_id}/set_state", {"state": state, "force": True})

    def drop(self, run_id: str, message: str) -> None:
        """Cancel a run that has not started."""
        state = {"type": "CANCELLED", "message": message}
        self.ask("POST", f"/flow_runs/{run_id}/set_state", {"state": state})

    def ended_since(self, when: datetime, queue: str) -> list[dict[str, Any]]:
        """Flow runs of a queue of the pool that ended after a time."""
        wanted = {"state": {"type": {"any_": sorted(FINAL_STATES)}}, "end_time": {"after_": when.isoformat()}}
        wanted["work_queue_name"] = {"any_": [queue]}
        pool = {"name": {"any_": [POOL]}}
        return self.pages("/flow_runs/filter", {"flow_runs": wanted, "work_pools": pool, "sort": "END_TIME_DESC"})

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The task runs of a flow run, oldest first."""
        body = {"flow_runs": {"id": {"any_": [run_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return self.pages("/task_runs/filter", body)

    def progress(self, run_id: str) -> dict[str, tuple[float, str]]:
        """Percent and words of a flow run's progress bars, by the name before their colon, oldest first."""
        wanted = {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["progress"]}}
        found = self.ask("POST", "/artifacts/filter", {"artifacts": wanted, "sort": "CREATED_DESC", "limit": PAGE})
        parts = [(*(item["description"] or "").partition(": ")[::2], float(item["data"])) for item in reversed(found)]
        return {name: (percent, words) for name, words, percent in parts}
