"""The server that `pneumo up` starts without a login, as pages of other sites and its own clients ask it."""

import asyncio
import os
import subprocess
import sys
import time

import httpx
import pytest
import websockets

from pneumo.operations.prefect_api import PrefectApi
from tests.conftest import free_port, stop

EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Host and port of a real one."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    place = f"127.0.0.1:{port}"
    quiet = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    origins = {"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://{place},http://localhost:{port}"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "tasks.support.prefect_server", "127.0.0.1", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, env=environment | quiet | origins, stdout=log, stderr=log, start_new_session=True
        )
    api, deadline = PrefectApi(f"http://{place}/api", timeout=60), time.monotonic() + 300
    while not api.healthy():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail((folder / "log").read_text())
        time.sleep(0.2)
    yield place
    stop(process)


def asked(server, **headers):
    """Status of a request that changes something; without a content type a browser sends it to any site unasked."""
    return httpx.post(f"http://{server}/api/flows/", content=b'{"name": "pneumonia"}', headers=headers).status_code


@pytest.mark.services
def test_pages_of_other_sites_and_names_that_point_here_start_nothing(server):
    assert asked(server, Origin=EVIL) == 403
    assert asked(server, Origin="null") == 403
    assert asked(server, Host="evil.example") == 403
    assert httpx.get(f"http://{server}/api/health", headers={"Host": f"evil.example:{server[-5:]}"}).status_code == 403


@pytest.mark.services
def test_programs_and_its_own_pages_are_answered(server):
    assert asked(server) in (200, 201)
    assert asked(server, Origin=f"http://{server}") in (200, 201)
    assert httpx.get(f"http://{server}/").status_code == 200


@pytest.mark.services
def test_no_other_page_opens_a_web_socket(server):
    async def opened(origin):
        async with websockets.connect(f"ws://{server}/api/events/in", origin=origin):
            return True

    assert asyncio.run(opened(None))
    assert asyncio.run(opened(f"http://{server}"))
    with pytest.raises(websockets.InvalidStatus, match="403"):
        asyncio.run(opened(EVIL))
