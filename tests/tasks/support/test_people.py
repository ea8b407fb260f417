"""Who asked for a flow run, as a real Prefect server knows it."""

import uuid
from base64 import b64encode

import httpx
import pytest

from pneumo.operations.prefect_api import POOL, PrefectApi
from pneumo.settings import Settings
from pneumo.tracking.system import user
from tasks.support.people import NOBODY, UNKNOWN, requester

pytestmark = pytest.mark.services


@pytest.fixture
def asked(prefect_server, monkeypatch):
    """Who asked, from within a flow run of that id."""

    def asked(run_id):
        monkeypatch.setenv("PREFECT_API_URL", prefect_server)
        monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", run_id)
        return requester(Settings())

    return asked


@pytest.fixture
def api(prefect_server):
    return PrefectApi(prefect_server, timeout=60)


@pytest.fixture
def deployment(api):
    flow = api.ask("POST", "/flows/", {"name": "people"})["id"]
    body = {"name": "asked", "flow_id": flow, "work_pool_name": POOL, "entrypoint": "x.py:x"}
    return api.ask("POST", "/deployments/", body)["id"]


def test_who_asks_by_pneumo_is_named_and_who_asks_on_the_page_is_not(api, deployment, asked):
    assert asked(api.create_run("people/asked", {}, "anna")) == "anna"
    assert asked(api.create_run("people/asked", {})) == UNKNOWN


def test_an_automation_is_nobody(prefect_server, deployment, asked):
    automation = {"Prefect-Automation-Id": str(uuid.uuid4()), "Prefect-Automation-Name": b64encode(b"retrain").decode()}
    url = f"{prefect_server}/deployments/{deployment}/create_flow_run"
    run = httpx.post(url, json={}, headers=automation, timeout=60).json()["id"]
    assert asked(run) == NOBODY


def test_who_calls_a_flow_from_python_is_who_runs_the_process(api, asked, monkeypatch):
    flow = api.ask("POST", "/flows/", {"name": "people"})["id"]
    run = api.ask("POST", "/flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})["id"]
    assert asked(run) == user()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    assert asked(run) == "anna"
