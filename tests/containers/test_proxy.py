"""The one door for other machines: both pages in a real browser through the TLS proxy, by the links of a run."""

import json
import re
import subprocess
from urllib.parse import urlsplit

import httpx
import pytest

from tests.containers.team import wait_for

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
SLOW = 120_000  # ms; on a busy machine a page takes its time


@pytest.fixture(scope="module")
def proxy(trained, ready):
    """The proxy with a certificate that was made for it; what the run before it has printed."""
    certify(ready.file.with_name("tls"), ready.addresses["PUBLIC_HOST"])
    done = ready.compose("--profile", "tls", "up", "--detach", "--no-deps", "proxy")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    wait_for(lambda: answers(ready.addresses["PREFECT_ORIGIN"]), 60, "a proxy that answers")
    return json.loads(trained.stdout)


def certify(folder, address):
    """A key and a certificate for an address, which the proxy's own user can read."""
    folder.mkdir()
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-days", "2", "-subj", "/CN=pneumo", "-addext", f"subjectAltName=IP:{address}",
               "-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    for path in (folder / "key.pem", folder / "certificate.pem"):
        path.chmod(0o644)
    folder.chmod(0o755)


def answers(address):
    try:
        return httpx.get(address, verify=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def page(browser, ready):
    """A page of somebody who has the logins; what went wrong on it fails the test."""
    login = {"username": "admin", "password": ready.secrets["MLFLOW_ADMIN_PASSWORD"]}
    size = {"width": 1440, "height": 1100}
    context = browser.new_context(
        ignore_https_errors=True, viewport=size, http_credentials=login | {"origin": ready.addresses["MLFLOW_ORIGIN"]}
    )
    faults = []
    page = context.new_page()
    page.set_default_timeout(SLOW)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.extend(left_the_team(request.url, ready)))
    yield page
    context.close()
    assert not [fault for fault in faults if "suitable renderer" not in fault]


def left_the_team(url, ready):
    found = urlsplit(url)
    outside = found.scheme in ("http", "https", "wss") and found.hostname != ready.addresses["PUBLIC_HOST"]
    return [url] if outside else []


def test_prefects_page_asks_for_the_login_and_shows_the_run(proxy, ready, page):
    from playwright.sync_api import expect

    page.goto(ready.addresses["PREFECT_ORIGIN"])  # Prefect's page of a run does not ask for it (infra/README.md)
    page.locator("input[type=password]").fill(ready.secrets["PREFECT_LOGIN"])
    page.keyboard.press("Enter")
    expect(page.locator("input[type=password]")).to_have_count(0, timeout=SLOW)
    page.goto(proxy["prefect_url"])
    page.get_by_text("Task Runs", exact=True).click(timeout=SLOW)
    page.get_by_placeholder("Search by run name").first.fill("promote")
    expect(page.get_by_text("promote", exact=True).first).to_be_visible(timeout=SLOW)


def test_mlflows_page_shows_the_run_and_its_figures(proxy, page):
    from playwright.sync_api import expect

    page.goto(proxy["mlflow_url"])
    expect(page.get_by_text("test_auc", exact=True).first).to_be_visible(timeout=SLOW)
    assert urlsplit(page.url).scheme == "https"


def test_nobody_comes_in_without_encryption_or_a_login(proxy, ready):
    for name in ("PREFECT", "MLFLOW"):
        host = urlsplit(ready.addresses[f"{name}_ORIGIN"]).netloc
        assert httpx.get(f"http://{host}").status_code == 400
    assert httpx.get(ready.addresses["MLFLOW_ORIGIN"], verify=False).status_code == 401
    headers = httpx.get(ready.addresses["PREFECT_ORIGIN"], verify=False).headers
    assert re.fullmatch("nginx", headers["server"]) and "max-age" in headers["strict-transport-security"]
