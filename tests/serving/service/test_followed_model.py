"""The served model follows the alias, and whatever happens to the next version, the one before goes on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from pneumo.serving.service import followed_model
from pneumo.serving.service.followed_model import FollowedModel
from tests.serving.service.conftest import ALIAS, NAME, post

pytestmark = pytest.mark.services


def test_the_next_champion_takes_over_without_a_lost_request(service, registry, image):
    replies: list[httpx.Response] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            replies.append(post(service, image))

    asking = threading.Thread(target=ask)
    asking.start()
    registry.registry.set_alias(NAME, ALIAS, "2")
    service.model.update()
    registry.registry.set_alias(NAME, ALIAS, "1")
    service.model.update()
    done.set()
    asking.join()
    versions = [reply.json()["version"] for reply in replies]
    assert {reply.status_code for reply in replies} == {200} and "2" in versions and versions[0] == "1"


def test_a_model_that_dies_is_told_of_and_started_again(service, image):
    service.model._loaded.process._process.kill()
    assert post(service, image).status_code == 503
    assert service.client.get("/ready").status_code == 503
    service.model.update()
    assert post(service, image).status_code == 200


def test_a_version_that_cannot_be_served_leaves_the_one_before_and_is_told_once(registry, image):
    told: list[str] = []
    wanted = "1"
    model = FollowedModel(lambda: (registry, registry.registry.resolve(f"models:/{NAME}/{wanted}")))
    model.update()
    wanted = "99"
    for _ in range(2):
        model._try_update(told.append)
    assert model.version.version == "1" and model.score([image], None)[1][0].label
    assert len(told) == 1 and "models:/lungs-served/99" in model.problem
    model.close()


def test_what_is_loaded_while_the_service_ends_is_ended_too(registry, monkeypatch):
    ended: list[str] = []

    @contextmanager
    def slowly(_: Any, uri: str, last: bool) -> Iterator[Any]:
        model.close()
        yield SimpleNamespace(input="image")
        ended.append(uri)

    model = FollowedModel(lambda: (registry, registry.registry.resolve(f"models:/{NAME}/1")))
    monkeypatch.setattr(followed_model, "served", slowly)
    model.update()
    assert ended == [f"models:/{NAME}/1"] and model.version is None


def test_a_disk_that_refuses_the_next_version_is_told_and_following_goes_on():
    def refuse() -> Any:
        raise OSError(28, "No space left on device")

    told: list[str] = []
    FollowedModel(refuse)._try_update(told.append)
    assert told == ["[Errno 28] No space left on device"]
