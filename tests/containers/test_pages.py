"""What people open: both pages in a real browser, and the service, all behind the TLS proxy."""

import re
import subprocess

import httpx
import pytest
import yaml
from playwright.sync_api import expect

from tests.containers.conftest import COMPOSE, wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
SLOW = 120_000  # ms


@pytest.fixture(scope="module")
def proxy(engine, ready):
    """The proxy as --profile tls starts it, with a certificate of its own; gives the address of its three ports."""
    image = yaml.safe_load(COMPOSE.read_text())["services"]["proxy"]["image"]
    engine.image(re.search(r":-(.*)}", image)[1])
    folder, host = ready.file.with_name("tls"), ready.addresses["PUBLIC_HOST"]
    folder.mkdir()
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={host}",
         "-addext", f"subjectAltName=IP:{host}", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"],
        capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (folder / "key.pem").chmod(0o644)  # the proxy is another user
    folder.chmod(0o755)
    done = ready.compose("--profile", "tls", "up", "--detach", "--no-deps", "proxy")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    client = httpx.Client(verify=str(folder / "certificate.pem"), timeout=30)

    def answers():
        try:
            return client.get(f"https://{host}:8443/api/health").is_success
        except httpx.TransportError:
            return False

    wait_for(answers, 60, "a proxy that answers")
    return client, f"https://{host}"


@pytest.fixture
def page(browser, ready):
    context = browser.new_context(
        ignore_https_errors=True, viewport={"width": 1440, "height": 1100},
        http_credentials={"username": "admin", "password": ready.secrets["MLFLOW_ADMIN_PASSWORD"]},
    )  # fmt: skip
    page = context.new_page()
    page.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    yield page
    context.close()


def test_the_page_of_a_run_asks_for_the_login_and_shows_the_run(proxy, trained, ready, page):
    (run, *_) = ready.prefect("flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    place = f"{proxy[1]}:8443/runs/flow-run/{run['id']}"
    page.goto(place)
    page.locator("input[type=password]").fill(ready.secrets["PREFECT_LOGIN"])
    page.get_by_role("button", name="Login").click()
    expect(page.locator("input[type=password]")).to_have_count(0)
    page.goto(place)
    expect(page.get_by_text(run["name"]).first).to_be_visible()


def test_mlflows_page_shows_the_champion(proxy, trained, page):
    page.goto(f"{proxy[1]}:8444/#/models/pneumonia-classifier-phantom/versions/1")
    expect(page.get_by_text("Not a medical device").first).to_be_visible()


def test_the_service_answers_to_the_public_name_and_asks_for_its_token(proxy, trained):
    client, url = proxy
    assert client.get(f"{url}:8445/live").json() == {"status": "live"}
    assert client.post(f"{url}:8445/v1/predict", content=b"x").status_code == 401
