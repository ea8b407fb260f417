import re
from pathlib import Path

import httpx
import pytest

from pneumo.errors import ServiceError
from pneumo.operations import prefect_client
from pneumo.operations.prefect_api import FLOWS, PrefectApi


@pytest.fixture
def answering(monkeypatch):
    """An API whose server gives these answers, one after another; an exception is raised."""
    monkeypatch.setattr(prefect_client.time, "sleep", lambda seconds: None)

    def make(*answers, **options):
        given = list(answers)

        def answer(request):
            found = given.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        api = PrefectApi("http://prefect/api", **options)
        api._client = httpx.Client(base_url="http://prefect/api", transport=httpx.MockTransport(answer))
        return api

    return make


SILENT = httpx.ConnectError("refused")


def test_a_locked_database_is_asked_again(answering):
    api = answering(httpx.Response(503), httpx.Response(503), httpx.Response(200, json={"id": "1"}))
    assert api.run("1") == {"id": "1"}


def test_a_database_that_stays_locked_is_an_error_in_the_end(answering):
    with pytest.raises(ServiceError, match=r"503"):
        answering(httpx.Response(503, text="busy"), busy=0).run("1")


def test_a_server_that_went_away_is_asked_again_by_a_run_under_way(answering):
    assert answering(SILENT, SILENT, httpx.Response(200, json={}), patience=300).run("1") == {}


def test_a_server_whose_database_went_away_is_asked_again_by_a_run_under_way_and_not_by_a_command(answering):
    failing = httpx.Response(500, text="Internal Server Error")
    assert answering(failing, failing, httpx.Response(200, json={}), patience=300).run("1") == {}
    with pytest.raises(ServiceError, match=r"\(500\): Internal Server Error; see the logs .* full disk"):
        answering(failing).run("1")


def test_a_command_says_at_once_that_nothing_answers(answering):
    with pytest.raises(ServiceError, match="run `pneumo up`"):
        answering(SILENT).run("1")


def test_a_run_that_the_server_does_not_know_is_none(answering):
    assert answering(httpx.Response(404, json={"detail": "not found"})).find_run("1") is None


def test_long_lists_come_page_by_page(answering):
    pages = [[{"id": str(number)} for number in range(200)], [{"id": "last"}]]
    assert len(answering(*(httpx.Response(200, json=page) for page in pages)).runs(["RUNNING"])) == 201


def test_a_parameter_that_the_deployment_does_not_have_is_refused_by_name(prefect_server):
    server = httpx.Client(base_url=prefect_server, timeout=60)
    flow = server.post("/flows/", json={"name": "form"}).json()["id"]
    form = {"type": "object", "properties": {"data": {"type": "string"}, "preset": {"type": "string"}}}
    deployment = {"name": "form", "flow_id": flow, "parameter_openapi_schema": form, "enforce_parameter_schema": True}
    server.post("/deployments/", json=deployment).raise_for_status()
    with pytest.raises(ServiceError, match=r"got presett: choose among data, preset"):
        PrefectApi(prefect_server).create_run("form/form", {"presett": "quick"})


@pytest.mark.services
def test_what_others_have_in_the_same_pool_is_not_taken_for_pneumos(prefect):
    ours, theirs = prefect.deployment("shared"), prefect.deployment("shared", of="lung segmentation")
    alone = prefect.deployment("segment", of="lung segmentation")
    mine, other = prefect.run(ours, "PAUSED"), prefect.run(theirs, "PAUSED")
    assert prefect.api.deployments()["shared"] == ours
    assert alone not in prefect.api.deployments().values()
    waiting = {run["id"] for run in prefect.api.runs(["PAUSED"])}
    assert mine in waiting and other not in waiting
    assert {mine, other} <= {run["id"] for run in prefect.api.runs(["PAUSED"], others=True)}
    prefect.api.drop(mine, "over")


def test_every_flow_is_known_as_pneumos_own():
    files = (Path(__file__).parents[2] / "flows").glob("*.py")
    named = {name for file in files for name in re.findall(r'@flow\(name="(.+?)"', file.read_text())}
    assert named == set(FLOWS)


def test_the_mark_of_an_answer_that_prefect_refuses_is_taken_back():
    asked = []

    def answer(request):
        asked.append((request.method, request.url.path))
        if request.url.path.endswith("/resume"):
            return httpx.Response(200, json={"status": "REJECT", "details": {"reason": "it does not wait"}})
        state = {"state": {"state_details": {"run_input_keyset": {"response": "question"}}}}
        return httpx.Response(200, json=state) if request.method == "GET" else httpx.Response(204)

    api = PrefectApi("http://prefect/api")
    api._client = httpx.Client(base_url="http://prefect/api", transport=httpx.MockTransport(answer))
    with pytest.raises(ServiceError, match="it does not wait"):
        api.resume("1", {"approve": True})
    assert [method for method, _ in asked] == ["GET", "POST", "POST", "DELETE"]
    assert re.fullmatch(r"/api/flow_runs/1/input/by-command-question-[0-9a-f]{8}", asked[-1][1])
