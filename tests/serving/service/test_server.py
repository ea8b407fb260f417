"""The service as it starts and ends."""

import os
import subprocess
import sys
import time

import httpx
import pytest

from pneumo.errors import ServiceError, SettingsError
from pneumo.serving.service import server
from pneumo.settings.servers import Serve
from tests.conftest import free_port
from tests.serving.service.conftest import NAME, TOKEN

pytestmark = pytest.mark.services


def test_a_service_that_is_told_to_end_leaves_neither_process_nor_files(monkeypatch):
    """As `kill` and systemd end it; the model's files are some hundred MB each time."""
    program = """
import os, signal, threading
from types import SimpleNamespace
from pneumo.settings.servers import Serve
from pneumo.serving.service import api, server
from fastapi import FastAPI
print_nothing = lambda *_: None
class Model:
    version, note = None, ""
    def __init__(self, *_): pass
    def update(self): pass
    def follow(self, *_): pass
    def close(self): print("ended")
server.FollowedModel, server.ServiceRecord, server.patient_secret = Model, print_nothing, print_nothing
def app(*_):
    threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    return FastAPI()
api.create_app = app
server.serve(SimpleNamespace(serve=Serve(port=0), home=None), None)
"""
    monkeypatch.delenv(server.TOKEN, raising=False)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


def test_a_service_that_waits_is_alive_and_says_why_it_is_not_ready_until_there_is_a_model(registry, tmp_path):
    """As containers start it, where an end would only mean another start."""
    url, awaited = f"http://127.0.0.1:{free_port()}", f"models:/{NAME}@awaited"
    command = [sys.executable, "-m", "pneumo.cli", "serve", "--wait", "--model", awaited, "--port", url.split(":")[2]]
    own = {"PNEUMO_TRACKING__URI": registry.uri, "PNEUMO_SERVE__FOLLOW_SECONDS": "0.5", "PNEUMO_HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=os.environ | own | {server.TOKEN: TOKEN})
    try:
        problem = _ready(url, process, lambda reply: reply.json()["problem"])
        assert problem.status_code == 503 and "awaited" in problem.json()["problem"]
        assert httpx.get(f"{url}/live").status_code == 200
        registry.registry.set_alias(NAME, "awaited", "1")
        assert _ready(url, process, lambda reply: reply.is_success).json()["version"] == "1"
    finally:
        process.terminate()
        process.wait(60)


def _ready(url, process, when):
    """The answer of /ready, as soon as it is so."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if when(reply := httpx.get(f"{url}/ready")):
                return reply
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail("the service ended, or not within 120 s")


def test_an_address_of_version_six_is_asked_and_told_in_brackets():
    hosts = server._hosts(Serve(host="fd00::1", names=("XRays.Example",)))
    assert {"[::1]", "[fd00::1]", "xrays.example"} <= set(hosts)


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("0.0.0.0", None, "PNEUMO_SERVE_TOKEN"),
        ("127.0.0.1", "short", "at least 16 characters"),
        ("127.0.0.1", "schlüssel-der-klinik", "of ASCII"),
        ("127.0.0.1", "a-token-of-a-file-with-its-end\n", "of ASCII"),
    ],
)
def test_no_service_is_open_to_others_without_a_login(monkeypatch, host, token, words):
    monkeypatch.delenv(server.TOKEN, raising=False)
    if token:
        monkeypatch.setenv(server.TOKEN, token)
    with pytest.raises(SettingsError, match=words):
        server.required_token(Serve(host=host))


def test_an_address_that_is_taken_is_named():
    with server._listening(Serve(port=0)) as door, pytest.raises(ServiceError, match="to be free"):
        server._listening(Serve(port=door.getsockname()[1]))
