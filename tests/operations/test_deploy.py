import json
from pathlib import Path

import pytest

from pneumo.errors import SettingsError
from pneumo.operations import deploy
from pneumo.settings import Settings
from pneumo.settings.servers import Pool

TEMPLATE = Path(__file__).parents[2] / "infra/kubernetes/base/job-template.json"


class Server:
    """Keeps what the work pool was asked to be."""

    def ensure_pool(self, kind, runs_at_once, template):
        self.pool = kind, runs_at_once, template


def test_a_pool_of_processes_has_no_template():
    server = Server()
    deploy.register_pool(Pool(runs_at_once=4), server)
    assert server.pool == ("process", 4, None)


def test_settings_fill_the_job_template():
    server = Server()
    deploy.register_pool(Pool(type="kubernetes", template=TEMPLATE, variables={"gpus": "1"}), server)
    kind, _, template = server.pool
    assert kind == "kubernetes"
    assert template["variables"]["properties"]["gpus"]["default"] == "1"
    assert json.loads(TEMPLATE.read_text())["variables"]["properties"]["gpus"]["default"] == "0"


def test_a_variable_that_the_template_lacks_is_named():
    with pytest.raises(SettingsError, match=r"Expected pool\.variables among .*gpus.* but tpus is not"):
        deploy.register_pool(Pool(type="kubernetes", template=TEMPLATE, variables={"tpus": "1"}), Server())


def test_a_missing_template_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nothing\.json, found no file"):
        deploy.register_pool(Pool(type="kubernetes", template=tmp_path / "nothing.json"), Server())


def test_results_on_s3_need_a_bucket(monkeypatch, tmp_path):
    monkeypatch.setenv(deploy.RESULTS, "s3-bucket/pneumo")
    with pytest.raises(SettingsError, match=r"Expected data\.storage"):
        deploy.ensure_results(Settings(), {})
