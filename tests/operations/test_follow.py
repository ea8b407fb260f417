import io
import json
from urllib.parse import urlsplit

import httpx
import pytest
from rich.console import Console

from pneumo.operations.follow import follow
from pneumo.operations.prefect_api import PrefectApi

BAR = {"description": "MobileNet 1.0: tuning 2/4, 31 images/s, 95 s left", "data": 40.0}


class Server:
    """A Prefect server with one run: its training is under way at the first look, and done at the second."""

    def __init__(self):
        self.looks = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = urlsplit(str(request.url)).path
        if path.endswith("/artifacts/filter"):
            assert json.loads(request.content)["artifacts"]["flow_run_id"] == {"any_": ["1"]}
            return httpx.Response(200, json=[BAR])
        if path.endswith("/task_runs/filter"):
            state = "COMPLETED" if self.looks > 1 else "RUNNING"
            task = {"id": "2", "name": "train MobileNet 1.0", "state_type": state, "state_name": state.title()}
            return httpx.Response(200, json=[{**task, "total_run_time": 61.0, "start_time": None}])
        self.looks += 1
        state = "COMPLETED" if self.looks > 1 else "RUNNING"
        return httpx.Response(200, json={"id": "1", "state_type": state, "state_name": state.title()})


@pytest.fixture
def api():
    api = PrefectApi("http://prefect/api")
    api._client = httpx.Client(base_url="http://prefect/api", transport=httpx.MockTransport(Server()))
    return api


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_a_bar_per_backbone_a_file_only_what_finished(api, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    follow(api, "1", console, every=0.2)
    said = console.file.getvalue()
    assert "train MobileNet 1.0" in said and "61.0 s" in said
    assert ("31 images/s, 95 s left" in said) is terminal
    assert ("\x1b" in said) is terminal
