"""The TLS proxy of the team server, run by Debian's nginx before two servers that say what reached them."""

import json
import shutil
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port

CONF = Path(__file__).parents[2] / "infra/nginx/pneumo.conf"
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
pytestmark = pytest.mark.skipif(not (NGINX and shutil.which("openssl")), reason="nginx or openssl is not installed")

INNER = {"prefect": 4200, "mlflow": 5000, "serve": 5001}
OUTER = {"prefect": "8443", "mlflow": "8444", "serve": "8445"}


class Mirror(BaseHTTPRequestHandler):
    """Says which server was asked, with which headers and how much."""

    def do_POST(self):
        size = 0
        if self.headers.get("Transfer-Encoding"):
            while length := int(self.rfile.readline(), 16):
                size += len(self.rfile.read(length))
                self.rfile.readline()
        else:
            size = len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        body = {"server": self.server.label, "headers": dict(self.headers), "bytes": size}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST

    def log_message(self, *_):
        pass


def mirror(label):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.label = label
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    servers = {name: mirror(name) for name in INNER}
    ports = {port: free_port() for port in OUTER.values()}
    text = CONF.read_text().replace("/etc/pneumo/tls", str(folder))
    for name, server in servers.items():
        text = text.replace(f"{name}:{INNER[name]}", f"127.0.0.1:{server.server_port}")
    for inner, outer in ports.items():
        text = text.replace(f"listen {inner} ssl", f"listen 127.0.0.1:{outer} ssl")
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = f"pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ access_log off; {places}\n{text}\n}}"
    (folder / "nginx.conf").write_text(frame)
    process = subprocess.Popen([NGINX, "-c", folder / "nginx.conf", "-g", "daemon off;"])
    context = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=context, timeout=20) as client:
        wait_for(client, f"https://localhost:{ports['8443']}", process)
        yield (
            client,
            {name: f"https://localhost:{ports[port]}" for name, port in OUTER.items()},
        )
    process.terminate()
    process.wait(10)
    for server in servers.values():
        server.shutdown()


def wait_for(client, url, process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.get(url)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("nginx did not start")


@pytest.mark.parametrize("name", INNER)
def test_each_port_leads_to_its_server_which_sees_how_it_was_called(proxy, name):
    client, urls = proxy
    seen = client.get(urls[name] + "/api/health").json()
    assert seen["server"] == name
    assert seen["headers"]["Host"] == urls[name].removeprefix("https://")
    assert seen["headers"]["X-Forwarded-Proto"] == "https"


def test_logins_go_through_and_pages_are_not_framed(proxy):
    client, urls = proxy
    answer = client.get(urls["mlflow"], auth=("pneumo", "secret"))
    assert answer.json()["headers"]["Authorization"].startswith("Basic ")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert "/" not in answer.headers["Server"]


def test_a_large_model_goes_to_mlflow_large_images_to_the_service_and_nothing_large_to_prefect(proxy):
    client, urls = proxy
    large = bytes(20 << 20)
    for name in ("mlflow", "serve"):
        assert client.post(urls[name], content=large).json()["bytes"] == len(large)
    assert client.post(urls["prefect"], content=large).status_code == 413


def test_a_web_socket_reaches_prefect(proxy):
    client, urls = proxy
    asked = {"Upgrade": "websocket", "Connection": "Upgrade"}
    seen = client.get(urls["prefect"] + "/api/events/in", headers=asked).json()["headers"]
    assert (seen["Upgrade"], seen["Connection"]) == ("websocket", "upgrade")


def test_plain_http_is_refused(proxy):
    _, urls = proxy
    assert httpx.get(urls["mlflow"].replace("https://", "http://")).status_code == 400


def test_old_tls_is_refused(proxy):
    _, urls = proxy
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls["mlflow"], verify=old)
