"""The service that scores X-rays, as the team server runs it."""

import base64
import json

import pytest

from tests.containers.team import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]


def test_without_a_champion_it_is_alive_not_ready_and_not_started_again(awaiting, ready):
    assert awaiting["live"].status_code == 200
    assert awaiting["ready"].status_code == 503
    assert "Expected a champion of pneumonia-classifier-phantom" in awaiting["ready"].json()["problem"]
    (container,) = ready.containers("serve")
    assert (container["State"]["Status"], container["RestartCount"]) == ("running", 0)


def images_answered(team):
    """How many images stand in the log of answers."""
    return sum(day["images"] for day in json.loads(team.inside("serve", "pneumo", "answers", "--json").stdout)["days"])


def test_the_champion_answers_and_its_answers_are_kept(trained, ready):
    wait_for(lambda: ready.ready().is_success, 120, "a service that is ready")
    code = "import base64, pathlib; f = next(pathlib.Path('/data/cache/phantom').rglob('*.jpeg'))"
    image = ready.inside("worker", "python", "-c", f"{code}; print(base64.b64encode(f.read_bytes()).decode())")
    before, champion = images_answered(ready), ready.ready().json()["version"]
    reply = ready.score(base64.b64decode(image.stdout))
    assert reply.status_code == 200, reply.text
    assert (reply.json()["version"], reply.json()["answers"][0]["error"]) == (champion, None)
    assert images_answered(ready) == before + 1


def test_it_reaches_no_store_knows_no_login_but_its_own_and_has_a_limit_of_memory(ready):
    (container,) = ready.containers("serve")
    assert not [name for name in container["NetworkSettings"]["Networks"] if name.endswith("stores")]
    names = {line.partition("=")[0] for line in container["Config"]["Env"]}
    assert not [name for name in names if name.startswith(("AWS_", "PREFECT_API"))]
    given = {value for line in container["Config"]["Env"] for value in [line.partition("=")[2]]}
    own = ("MLFLOW_SERVE_PASSWORD", "PNEUMO_SERVE_TOKEN", "PNEUMO_PATIENT_KEY")
    known = {name for name, value in ready.secrets.items() if len(value) > 20 and value in given}
    assert known == set(own)
    assert container["HostConfig"]["Memory"] == 4 << 30
