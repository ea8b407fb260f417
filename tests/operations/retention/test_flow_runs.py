"""Old flow runs are taken away by Prefect itself, where the settings allow it."""

import sqlite3
import time

import pytest

from pneumo.operations import access, processes
from pneumo.operations.embedded import environment, table
from pneumo.operations.prefect_api import PrefectApi
from pneumo.settings import Settings
from pneumo.settings.servers import Services
from pneumo.settings.unattended import Retention
from tests.conftest import free_port
from tests.operations.conftest import Prefect


@pytest.mark.slow
@pytest.mark.services
def test_prefect_itself_takes_old_flow_runs_away(tmp_path, monkeypatch):
    """A server that pneumo starts, whose clock looks for old runs every second here instead of every hour."""
    port = free_port()
    settings = Settings(home=tmp_path, services=Services(prefect_port=port), retention=Retention(apply=True, days=10))
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "1")
    service = table(settings)[0]
    own = environment(settings) | access.own_environment("prefect", settings)
    processes.start("prefect", service.command, own, tmp_path / "services", tmp_path)
    try:
        api = PrefectApi(settings.prefect_api, timeout=60, patience=120)
        api.ensure_pool()
        prefect = Prefect(api)
        deployment = prefect.deployment("old")
        old, young = (prefect.run(deployment, "RUNNING", "COMPLETED") for _ in range(2))
        with sqlite3.connect(tmp_path / "prefect" / "prefect.db", timeout=60) as database:
            ended = database.execute("SELECT end_time FROM flow_run WHERE id = ?", (old,)).fetchone()[0]
            ancient = ended.replace(ended[:4], str(int(ended[:4]) - 1), 1)
            database.execute("UPDATE flow_run SET end_time = ? WHERE id = ?", (ancient, old))
        deadline = time.monotonic() + 60
        while api.find_run(old) is not None:
            assert time.monotonic() < deadline, "Prefect did not take the old flow run away"
            time.sleep(0.2)
        assert api.find_run(young) is not None
    finally:
        processes.stop(tmp_path / "services", "prefect")


def test_prefect_keeps_all_flow_runs_unless_house_keeping_may_delete(tmp_path):
    found = access.own_environment("prefect", Settings(home=tmp_path))
    assert not [name for name in found if "VACUUM" in name]
