"""The shadow gives way to the champion: nobody waits for it, its process comes last, and it says what it does.

The two models are programs of a few lines, so that it is known when the shadow answers.
"""

import os
import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from pneumo.serving import shadow_log
from pneumo.serving.fresh_process import client
from pneumo.serving.service.api import create_app
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.record import ServiceRecord
from pneumo.serving.service.running_shadow import running_shadow
from pneumo.settings import Settings
from pneumo.settings.servers import Serve
from pneumo.tracking import ModelVersion

PROGRAM = """
import json, pathlib, sys, time

go = pathlib.Path(sys.argv[1], "go")
print(json.dumps({"example": [], "from_model": True, "input": "image", "uncertain": False}), flush=True)
for line in sys.stdin:
    while not go.exists():
        time.sleep(0.01)
    answer = {"probability": 0.5, "label": "NORMAL", "error": None, "out_of_distribution": False}
    print(json.dumps([answer for _ in json.loads(line)["cells"]]), flush=True)
"""


def version(number: str) -> ModelVersion:
    return ModelVersion(name="lungs", version=number, run_id="", tags={}, description="", created=0)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A champion that answers at once, and a shadow that does so once there is a file `go` in its folder."""
    (tmp_path / "program.py").write_text(PROGRAM)
    monkeypatch.setattr(client, "PROGRAM", tmp_path / "program.py")
    folders = {f"models:/lungs/{number}": tmp_path / number for number in "12"}
    for folder in folders.values():
        folder.mkdir()
    (tmp_path / "1" / "go").touch()
    fetched = threading.Event()
    fetched.set()

    def verified(uri: str) -> Any:
        assert uri == "models:/lungs/1" or fetched.wait(60)
        return nullcontext(folders[uri])

    registry = SimpleNamespace(resolve=lambda uri: version(found.shadow))
    tracker = SimpleNamespace(files=SimpleNamespace(verified=verified), registry=registry)
    found = SimpleNamespace(
        home=tmp_path, fetched=fetched, go=tmp_path / "2" / "go", shadow="2", find=lambda: (tracker, version("1"))
    )
    return found


@pytest.fixture
def champion(world):
    model = FollowedModel(world.find)
    model.update()
    yield model
    model.close()


def beside(world: Any) -> Any:
    limits = Serve(shadow="challenger", follow_seconds=0.05)
    return running_shadow(Settings(home=world.home, serve=limits), world.find, lambda *_, **__: None)


def until(holds: Any) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "not within 120 s"
        time.sleep(0.02)


def test_clients_have_their_answers_while_the_shadow_has_given_none(world, champion):
    with beside(world) as shadow:
        until(lambda: shadow.model.version)
        record = ServiceRecord(world.home, b"secret" * 4, lambda *_, **__: None)
        app = create_app(champion, Serve(), None, ["testserver"], record, shadow)
        with TestClient(app) as http:
            replies = [http.post("/v1/predict", content=b"x", headers={"content-type": "image/png"}) for _ in range(3)]
        assert [reply.json()["version"] for reply in replies] == ["1"] * 3 and shadow_log.read(world.home)[0].empty
        world.go.touch()
        until(lambda: len(shadow_log.read(world.home)[0]) == 3)


def test_the_shadows_process_gives_way_to_that_of_the_champion(world, champion):
    with beside(world) as shadow:
        until(lambda: shadow.model.version)
        champions, shadows = (
            os.getpriority(os.PRIO_PROCESS, one._loaded.process._process.pid) for one in (champion, shadow.model)
        )
        assert champions == os.getpriority(os.PRIO_PROCESS, 0) < shadows == 19


def test_a_shadow_that_is_being_loaded_is_told_from_none(world):
    world.fetched.clear()
    with beside(world) as shadow:
        assert shadow.words == "the shadow is being loaded, and scores nothing yet"
        world.fetched.set()
        until(lambda: shadow.words == "version 2 scores the same images, unseen by clients")
        world.shadow = "1"
        until(lambda: shadow.words.startswith("no shadow: no other version"))
