"""The service as it starts and ends."""

import subprocess
import sys

import pytest

from pneumo.errors import ServiceError, SettingsError
from pneumo.service_sections import Serve
from pneumo.serving.service import server

pytestmark = pytest.mark.services


def test_a_service_that_is_told_to_end_leaves_neither_process_nor_files(monkeypatch):
    """As `kill` and systemd end it; the model's files are some hundred MB each time."""
    program = """
import os, signal, threading
from types import SimpleNamespace
from pneumo.service_sections import Serve
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
server.serve(SimpleNamespace(serve=Serve(port=0), home=None), None, None)
"""
    monkeypatch.delenv(server.TOKEN, raising=False)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr


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
