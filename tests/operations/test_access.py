import stat

import pytest

from pneumo.errors import ServiceError
from pneumo.operations import access, embedded, services
from pneumo.settings import Settings
from pneumo.settings.servers import Services, Tracking

LOGINS = {access.PREFECT_LOGIN: "pneumo:prefect-secret", access.MLFLOW_LOGIN: "mlflow-secret"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in access.SERVER_ONLY:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def logins(monkeypatch):
    for name, value in LOGINS.items():
        monkeypatch.setenv(name, value)


def opened(settings, host="0.0.0.0"):
    return settings.model_copy(update={"services": Services(host=host, names=("pneumo.hospital.example",))})


def test_servers_are_not_opened_to_other_machines_without_logins(settings):
    with pytest.raises(ServiceError, match=r"PREFECT_SERVER_API_AUTH_STRING and MLFLOW_AUTH_ADMIN_PASSWORD is not set"):
        services.up(opened(settings))
    assert not (settings.home / "services").exists()


def test_one_login_alone_is_not_enough(settings, monkeypatch):
    monkeypatch.setenv(access.PREFECT_LOGIN, "pneumo:secret")
    with pytest.raises(ServiceError, match="but MLFLOW_AUTH_ADMIN_PASSWORD is not set"):
        access.require_logins(opened(settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_login(settings, host):
    access.require_logins(opened(settings, host))


def test_with_both_logins_they_may_be_opened(settings, logins):
    access.require_logins(opened(settings))


def test_mlflow_answers_to_its_own_names_and_to_no_page_of_another_site(settings, logins):
    options = dict(zip(*[iter(access.mlflow_options(opened(settings)))] * 2, strict=True))
    assert options["--app-name"] == "basic-auth"
    assert options["--allowed-hosts"].split(",") == [
        "0.0.0.0:5000", "127.0.0.1:5000", "localhost:5000", "pneumo.hospital.example:5000"
    ]  # fmt: skip
    assert "*" not in options["--cors-allowed-origins"]


def test_behind_a_proxy_servers_know_the_address_that_a_browser_opens(settings, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    there = settings.model_copy(
        update={
            "services": Services(prefect_page="https://xray.example:8443"),
            "tracking": Tracking(page="https://xray.example:8444"),
        }
    )
    prefect = access.own_environment("prefect", there)
    assert prefect[access.UI_API] == "https://xray.example:8443/api"
    assert "https://xray.example:8443" in prefect["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"].split(",")
    options = dict(zip(*[iter(access.mlflow_options(there))] * 2, strict=True))
    assert "xray.example:8444" in options["--allowed-hosts"].split(",")
    assert embedded.run_page(there, "abc") == "https://xray.example:8443/runs/flow-run/abc"
    assert embedded.environment(there)["PREFECT_UI_URL"] == "https://xray.example:8443"


def test_a_run_elsewhere_has_its_page_there(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "https://there.example/api")
    assert embedded.run_page(settings, "abc") == "https://there.example/runs/flow-run/abc"


def test_each_server_knows_its_own_secrets_and_the_worker_none(settings, logins, monkeypatch):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://mlflow:database-secret@db/mlflow")
    worker = embedded.environment(settings) | access.own_environment("worker", settings)
    assert not access.SERVER_ONLY & worker.keys()
    prefect = access.own_environment("prefect", settings)
    assert prefect[access.PREFECT_LOGIN] == "pneumo:prefect-secret"
    assert not {name for name in prefect if name.startswith("MLFLOW")}
    mlflow = access.own_environment("mlflow", settings)
    assert mlflow["MLFLOW_BACKEND_STORE_URI"].endswith("@db/mlflow")
    assert access.PREFECT_LOGIN not in mlflow


def test_without_a_login_prefect_answers_its_own_pages_alone(settings, monkeypatch):
    monkeypatch.delenv(access.PREFECT_LOGIN, raising=False)
    assert "tasks.support.prefect_server" in embedded.table(settings)[0].command
    monkeypatch.setenv(access.PREFECT_LOGIN, "pneumo:secret")
    assert embedded.table(settings)[0].command[1:5] == ("-m", "prefect", "server", "start")


def test_no_secret_is_on_a_command_line(settings, logins, monkeypatch):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://mlflow:database-secret@db/mlflow")
    commands = " ".join(word for service in embedded.table(settings) for word in service.command)
    assert not [secret for secret in ("prefect-secret", "mlflow-secret", "database-secret") if secret in commands]


def test_the_file_with_mlflows_database_is_for_its_owner_only(settings, logins, monkeypatch):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://mlflow:per%25cent@db/mlflow")
    from configparser import ConfigParser
    from pathlib import Path

    file = Path(access.own_environment("mlflow", settings)["MLFLOW_AUTH_CONFIG_PATH"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = ConfigParser()
    written.read(file)
    assert written["mlflow"]["database_uri"] == "postgresql://mlflow:per%25cent@db/mlflow"
