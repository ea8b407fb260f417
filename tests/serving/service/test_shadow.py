"""The shadow scores what was answered, unseen; whatever happens to it, clients get the champion's answers."""

import shutil
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pneumo.errors import TrackingError
from pneumo.serving import answer_log, shadow_log
from pneumo.serving.feedback import agreed
from pneumo.serving.service.api import create_app
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.record import ServiceRecord
from pneumo.serving.service.running_shadow import running_shadow
from pneumo.serving.service.server import LOOPBACK
from pneumo.settings import Settings
from tests.serving.service.conftest import ALIAS, LIMITS, NAME, TOKEN, post, running

pytestmark = [pytest.mark.services, pytest.mark.slow]
MINE = "challenger-served"  # an alias that no other test moves


@pytest.fixture(scope="module")
def served(registry: Any, tmp_path_factory: Any) -> Iterator[Any]:
    """A service with a shadow, as `pneumo serve` puts them together."""
    home = tmp_path_factory.mktemp("home")
    registry.registry.set_alias(NAME, MINE, "2")
    told: list[str] = []

    def find() -> Any:
        return registry, registry.registry.resolve(f"models:/{NAME}@{ALIAS}")

    def tell(event: str, **_: Any) -> None:
        told.append(event)

    model = FollowedModel(find)
    model.update()
    limits = LIMITS.model_copy(update={"shadow": MINE, "follow_seconds": 0.2})
    with running_shadow(Settings(home=home, serve=limits), find, tell) as shadow:
        app = create_app(model, limits, TOKEN, LOOPBACK, ServiceRecord(home, b"secret" * 4, tell), shadow)
        with running(app) as client:
            yield SimpleNamespace(client=client, model=model, shadow=shadow, home=home, told=told)
    model.close()


@pytest.fixture
def shadowed(served: Any, registry: Any) -> Any:
    """The service of version 1 with version 2 as its shadow, which has answered nothing yet."""
    registry.registry.set_alias(NAME, ALIAS, "1")
    registry.registry.set_alias(NAME, MINE, "2")
    served.model.update()
    until(lambda: served.shadow.model.version and served.shadow.model.version.version == "2")
    for folder in (shadow_log.FOLDER, answer_log.FOLDER):
        shutil.rmtree(served.home / folder, ignore_errors=True)
    served.told.clear()
    served.shadow.images.clear()
    return served


def until(holds: Any) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "not within 120 s"
        time.sleep(0.05)


def kept(shadowed: Any) -> Any:
    return shadow_log.read(shadowed.home)[0]


def counted(shadowed: Any, outcome: str) -> float:
    lines = [line for line in shadowed.client.get("/metrics").text.splitlines() if f'outcome="{outcome}"' in line]
    return sum(float(line.split()[-1]) for line in lines if line.startswith("pneumo_shadow_images_total"))


def test_the_shadow_scores_the_same_image_in_a_log_of_its_own_and_the_client_does_not_see_it(shadowed, image):
    reply = post(shadowed, image).json()
    until(lambda: len(kept(shadowed)))
    (row,) = kept(shadowed).to_dict("records")
    (answer,) = reply["answers"]
    assert (reply["version"], row["version"], row["champion"]) == ("1", "2", "1") and "shadow" not in reply
    assert (row["image"], row["champion_probability"]) == (answer["image"], answer["probability"])
    assert row["label"] == row["champion_label"] and counted(shadowed, "agrees") == 1
    assert answer_log.read(shadowed.home)[0]["version"].tolist() == ["1"]
    assert "version 2 scores the same images" in shadowed.client.get("/ready").json()["shadow"]


def test_an_image_that_the_champion_cannot_read_is_not_kept_for_the_shadow(shadowed, image):
    assert post(shadowed, b"no image").json()["answers"][0]["label"] is None
    post(shadowed, image)
    until(lambda: len(kept(shadowed)))
    assert len(kept(shadowed)) == 1


def test_a_slow_shadow_holds_nobody_up_and_what_does_not_fit_is_dropped_and_counted(shadowed, image, monkeypatch):
    monkeypatch.setattr("pneumo.serving.service.shadow.MOST", 2)
    with shadowed.shadow.model._turn:  # as if the shadow were busy
        post(shadowed, image)
        until(lambda: shadowed.shadow._held and not shadowed.shadow._queue)
        replies = [post(shadowed, image) for _ in range(4)]
        until(lambda: counted(shadowed, "dropped") == 2)
        assert {reply.status_code for reply in replies} == {200} and kept(shadowed).empty
    until(lambda: len(kept(shadowed)) == 3)
    assert shadowed.shadow._held == 0 and len(answer_log.read(shadowed.home)[0]) == 5


def test_images_that_wait_take_no_more_memory_than_one_request_may(shadowed, image, monkeypatch):
    monkeypatch.setattr(shadowed.shadow, "_most", len(image))
    with shadowed.shadow.model._turn:
        for _ in range(3):
            post(shadowed, image)
        until(lambda: counted(shadowed, "dropped") == 2)
    until(lambda: len(kept(shadowed)) == 1)


def test_a_shadow_that_dies_is_counted_and_started_again(shadowed, image):
    shadowed.shadow.model._loaded.process._process.kill()
    assert post(shadowed, image).status_code == 200
    until(lambda: counted(shadowed, "failed") == 1)
    until(lambda: shadowed.shadow.model.version)
    post(shadowed, image)
    until(lambda: len(kept(shadowed)) == 1)
    assert any("the shadow has failed" in event for event in shadowed.told)


def test_a_shadow_that_cannot_be_loaded_is_told_and_the_one_before_goes_on(shadowed, registry, image, monkeypatch):
    def refuse(*_: Any) -> Any:
        raise TrackingError("Expected files that are as they were registered, but they are not.")

    registry.registry.set_alias(NAME, ALIAS, "2")
    until(lambda: shadowed.shadow.model.version is None)
    monkeypatch.setattr("pneumo.serving.service.followed_model.served", refuse)
    registry.registry.set_alias(NAME, ALIAS, "1")
    until(lambda: "as they were registered" in shadowed.client.get("/ready").json()["shadow"])
    assert shadowed.client.get("/ready").status_code == 200 and post(shadowed, image).json()["version"] == "1"
    assert "pneumo_shadow_behind 1.0" in shadowed.client.get("/metrics").text


def test_a_shadow_that_has_become_champion_ends_and_the_next_challenger_is_taken_up(shadowed, registry, image):
    registry.registry.set_alias(NAME, ALIAS, "2")
    shadowed.model.update()
    until(lambda: shadowed.shadow.model.version is None)
    assert post(shadowed, image).json()["version"] == "2"
    assert shadowed.client.get("/ready").json()["shadow"].startswith("no shadow")
    registry.registry.set_alias(NAME, MINE, "1")
    until(lambda: shadowed.shadow.model.version)
    post(shadowed, image)
    until(lambda: len(kept(shadowed)))
    assert kept(shadowed)[["version", "champion"]].to_numpy().tolist() == [["1", "2"]]


def test_a_full_disk_costs_the_shadows_record_only(shadowed, image, monkeypatch):
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shadowed.shadow._log, "append", full)
    assert post(shadowed, image).status_code == 200
    until(lambda: any("are not kept" in event for event in shadowed.told))


def test_feedback_that_comes_later_is_of_both_answers(shadowed, image):
    key = post(shadowed, image).json()["answers"][0]["image"]
    until(lambda: len(kept(shadowed)))
    reply = shadowed.client.post("/v1/feedback", json={"feedback": [{"image": key, "label": "NORMAL"}]})
    assert reply.json()["outcomes"] == ["kept"]
    assert kept(shadowed)["image"].map(agreed(shadowed.home)[0].labels).tolist() == ["NORMAL"]
