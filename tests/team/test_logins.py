"""The workers' login on MLflow: all that a run needs, and no more; people have logins of their own."""

import json
import uuid

import httpx
import psutil
import pytest

from pneumo.errors import TrackingError
from pneumo.operations import access, processes
from pneumo.tracking.logins import ensure_reader

pytestmark = pytest.mark.team
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def logins(team):
    """Logins of the administrator and of the worker."""
    names = ("MLFLOW_AUTH_ADMIN", "MLFLOW_TRACKING")
    return [(team.environment[f"{name}_USERNAME"], team.environment[f"{name}_PASSWORD"]) for name in names]


@pytest.fixture(scope="module")
def ask(team):
    def ask(login, method, path, body=None, **parameters):
        return httpx.request(method, f"{team.mlflow}{path}", auth=login, json=body, params=parameters, timeout=60)

    return ask


@pytest.fixture(scope="module")
def anna(ask, logins):
    """A person with a login of her own, as the administrator gives her one."""
    login = "anna", uuid.uuid4().hex
    assert ask(logins[0], "POST", f"{API}/users/create", {"username": login[0], "password": login[1]}).is_success
    return login


@pytest.fixture(scope="module", params=["worker", access.SERVICE])
def reader(request, team, logins):
    """Logins that `pneumo deploy` makes: of workers, and of the service that scores X-rays."""
    if request.param == "worker":
        return logins[1]
    login = request.param, uuid.uuid4().hex
    for _ in range(2):
        ensure_reader(team.mlflow, logins[0], login)
    return login


def test_the_worker_is_no_administrator(ask, logins):
    _, worker = logins
    assert ask(worker, "GET", f"{API}/users/current").json()["user"] | {"id": 0} == {
        "id": 0, "username": "worker", "is_admin": False,
    }  # fmt: skip
    for path, body in (
        ("users/create", {"username": "evil", "password": "a-long-password"}),
        ("users/update-admin", {"username": "worker", "is_admin": True}),
        ("users/update-password", {"username": "pneumo", "password": "a-long-password"}),
    ):
        method = "POST" if path.endswith("create") else "PATCH"
        assert ask(worker, method, f"{API}/{path}", body).status_code == 403, path


def test_worker_and_service_read_what_others_made_and_cannot_change_it(ask, reader, anna):
    name = uuid.uuid4().hex
    experiment = ask(anna, "POST", f"{API}/experiments/create", {"name": name}).json()["experiment_id"]
    run = ask(anna, "POST", f"{API}/runs/create", {"experiment_id": experiment}).json()["run"]["info"]["run_id"]
    assert ask(anna, "POST", f"{API}/registered-models/create", {"name": name}).is_success
    assert ask(reader, "GET", f"{API}/runs/get", run_id=run).is_success
    for method, path, body in (
        ("POST", "experiments/delete", {"experiment_id": experiment}),
        ("POST", "runs/create", {"experiment_id": experiment}),
        ("POST", "runs/delete", {"run_id": run}),
        ("POST", "runs/set-tag", {"run_id": run, "key": "mine", "value": "now"}),
        ("DELETE", "registered-models/delete", {"name": name}),
    ):
        assert ask(reader, method, f"{API}/{path}", body).status_code == 403, path
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/x.txt"
    assert ask(reader, "PUT", artifact).status_code == 403
    assert ask(anna, "POST", f"{API}/runs/update", {"run_id": run, "status": "FINISHED"}).is_success


def test_doctor_finds_nothing_that_the_worker_may_not_do(team):
    done = team.call("pneumo", "doctor", "--json")
    rows = {row["what"]: row for row in json.loads(done.stdout)}
    assert rows["artifacts through MLflow"]["state"] != "failed", rows["artifacts through MLflow"]


def test_a_login_keeps_the_password_that_a_person_gave_it(team, ask, logins, anna):
    with pytest.raises(
        TrackingError, match=r"the login anna with the password of this environment, but it has another"
    ):
        ensure_reader(team.mlflow, logins[0], (anna[0], uuid.uuid4().hex))
    assert ask(anna, "GET", f"{API}/users/current").is_success


def test_deploying_with_another_password_than_the_workers_says_what_to_do(team, ask, logins):
    there = {"PREFECT_API_URL": f"{team.prefect}/api", "MLFLOW_TRACKING_PASSWORD": uuid.uuid4().hex}
    deployed = team.call("pneumo", "deploy", **there)
    assert deployed.returncode != 0
    assert "the login worker with the password of this environment" in " ".join(deployed.stderr.split())
    assert ask(logins[1], "GET", f"{API}/users/current").is_success


def test_deploying_gives_the_worker_what_others_made_of_pneumos(team, ask, logins):
    administrator, worker = logins
    model, experiment = (f"m-{uuid.uuid4().hex}" for _ in range(2))
    assert ask(administrator, "POST", f"{API}/registered-models/create", {"name": model}).is_success
    made = ask(administrator, "POST", f"{API}/experiments/create", {"name": experiment}).json()["experiment_id"]
    assert ask(worker, "POST", f"{API}/runs/create", {"experiment_id": made}).status_code == 403
    there = {"PNEUMO_TRACKING__EXPERIMENT": experiment, "PNEUMO_REGISTRY__MODEL": model}
    there |= {"PREFECT_API_URL": f"{team.prefect}/api"}
    for _ in range(2):
        deployed = team.call("pneumo", "deploy", **there)
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    begun = ask(worker, "POST", f"{API}/runs/create", {"experiment_id": made}).json()["run"]["info"]
    assert ask(worker, "POST", f"{API}/runs/update", {"run_id": begun["run_id"], "status": "FINISHED"}).is_success
    assert ask(worker, "DELETE", f"{API}/registered-models/delete", {"name": model}).is_success


def test_no_process_of_the_worker_knows_the_administrator(team):
    found = processes.descended(team.home / "services", "worker")
    environments = [psutil.Process(process.pid).environ() for process in found]
    assert environments
    assert not [name for own in environments for name in own if name.startswith("MLFLOW_AUTH_ADMIN")]
