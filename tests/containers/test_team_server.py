"""Images as they run, and the main job through the team server's containers."""

import json

import httpx
import pytest

from tests.containers.team import HARDENED, service_of

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]


@pytest.mark.parametrize("target", ["server", "worker"])
def test_an_image_runs_without_root_capabilities_or_a_place_to_write(engine, images, target):
    look = "id -u; grep CapEff /proc/self/status; touch /opt/venv/x 2>&1 || true; touch /data/x && echo written"
    done = engine.call("run", "--rm", *HARDENED, images[target], "sh", "-c", look)
    user, capabilities, refused, written = done.stdout.splitlines()
    assert (user, capabilities.split()[1].strip("0"), written) == ("10001", "", "written")
    assert "Read-only file system" in refused


def test_the_server_image_has_no_tensorflow_and_the_worker_no_source_tree(engine, images):
    listed = engine.call("run", "--rm", *HARDENED, images["server"], "pip", "list", "--format=freeze").stdout
    assert "mlflow==" in listed and "tensorflow" not in listed
    code = "import os, pneumo; print(pneumo.__file__, os.listdir('/app'), 'PYTHONPATH' in os.environ)"
    said = engine.call("run", "--rm", *HARDENED, images["worker"], "python", "-c", code).stdout
    assert said.split(" ", 1)[0].endswith("site-packages/pneumo/__init__.py") and "['mlflow.yaml'] False" in said


def test_doctor_speaks_in_words_in_an_image_that_reaches_nothing(engine, images):
    done = engine.call("run", "--rm", "--network=none", *HARDENED, images["worker"], "pneumo", "doctor", "--json")
    rows = {row["what"]: row["state"] for row in json.loads(done.stdout)}
    assert (done.returncode, rows["packages"], rows["Prefect server"]) == (1, "ok", "failed")


def test_every_container_is_shut(ready):
    for item in ready.containers():
        name = service_of(item)
        assert item["HostConfig"]["ReadonlyRootfs"], name
        has = item["EffectiveCaps"] if "EffectiveCaps" in item else item["HostConfig"]["CapAdd"]  # podman, Docker
        adds = {word.removeprefix("CAP_") for word in has or ()}
        assert adds == ({"CHOWN"} if name == "storage-folder" else set()), name
        assert item["Config"]["User"] not in ("", "root") and (item["Config"]["User"] != "0:0" or adds), name


def test_no_secret_is_on_a_command_line(ready):
    for name in ("postgres", "storage", "prefect", "mlflow", "worker", "serve"):
        look = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; done"
        lines = ready.inside(name, "sh", "-c", look).stdout
        assert lines and not [key for key, value in ready.secrets.items() if len(value) > 20 and value in lines], name


def test_servers_ask_for_a_login_and_know_where_a_browser_finds_them(ready):
    prefect, mlflow = (f"http://127.0.0.1:{ready.addresses[f'{name}_PORT']}" for name in ("PREFECT", "MLFLOW"))
    assert "<html" in httpx.get(prefect).text
    assert httpx.get(f"{prefect}/ui-settings").json()["api_url"] == f"{ready.addresses['PREFECT_ORIGIN']}/api"
    assert httpx.post(f"{prefect}/api/flows/filter", json={}).status_code == 401
    assert httpx.get(mlflow).status_code == 401
    assert httpx.get(mlflow, auth=("admin", ready.secrets["MLFLOW_ADMIN_PASSWORD"])).status_code == 200


def test_the_main_job_runs_to_its_end_and_promotes_a_champion(trained, ready):
    assert trained.returncode == 0, trained.stdout[-3000:] + trained.stderr[-3000:]
    summary = json.loads(trained.stdout)
    assert (summary["decision"]["promoted"], summary["decision"]["version"]) == (True, "1")
    assert summary["mlflow_url"].startswith(ready.addresses["MLFLOW_ORIGIN"])
    assert summary["prefect_url"].startswith(ready.addresses["PREFECT_ORIGIN"])
