"""`mlflow models serve` on the registered model, asked over HTTP."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def address(saved, tmp_path_factory):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(saved), "-p", str(port)]
    command += ["--env-manager", "local", "--host", "127.0.0.1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as file:
        environment = os.environ | {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)
    yield _ready(f"http://127.0.0.1:{port}", server, log)
    os.killpg(server.pid, signal.SIGTERM)
    server.wait(30)


def _ready(address: str, server: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5)
            return address
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"mlflow models serve did not start: {log.read_text()[-2000:]}")


def ask(address: str, images: list[bytes], **params) -> list[dict]:
    data = [[base64.b64encode(image).decode()] for image in images]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": data}, "params": params})
    request = urllib.request.Request(f"{address}/invocations", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        # Strict: NaN is not JSON.
        return json.loads(answer.read(), parse_constant=lambda name: pytest.fail(f"{name} in the answer"))[
            "predictions"
        ]


def test_images_sent_as_base64_are_scored(address, model, tiny):
    images = [tiny.encoded(picture) for picture in tiny.pictures(3, seed=4)]
    expected = model.predict(pd.DataFrame({"image": images}))
    assert [row["probability"] for row in ask(address, images)] == pytest.approx(list(expected["probability"]))


def test_a_bad_image_is_a_row_with_an_error(address, tiny):
    good = tiny.encoded(tiny.pictures(1)[0])
    first, bad = ask(address, [good, b"no image" * 20])
    assert first["error"] is None and 0 <= first["probability"] <= 1
    assert bad["probability"] is None and bad["label"] is None and "row 1 cannot be decoded" in bad["error"]


def test_a_cell_that_is_no_base64_costs_its_own_row_only(address, model, tiny):
    good = base64.b64encode(tiny.encoded(tiny.pictures(1)[0])).decode()
    bad = ["no base64", "image.png", "abc", "", None, 7, [1, 2]]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": [[cell] for cell in (good, *bad, good)]}})
    request = urllib.request.Request(f"{address}/invocations", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        first, *refused, last = json.loads(answer.read())["predictions"]
    assert first["probability"] == last["probability"] and first["error"] is None
    assert [f"row {number} holds" in row["error"] for number, row in enumerate(refused, start=1)] == [True] * len(bad)


def test_the_threshold_is_a_parameter(address, tiny):
    image = tiny.encoded(tiny.pictures(1)[0])
    assert ask(address, [image], threshold=0.0)[0]["label"] == "PNEUMONIA"
    assert ask(address, [image], threshold=1.0)[0]["label"] == "NORMAL"


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_path_sent_over_http_does_not_open_a_file_of_the_server(address, tiny, short, form):
    there, gone = short / "there.png", short / "never.png"
    there.write_bytes(tiny.encoded(tiny.pictures(1)[0]))
    answers = [post(address, form, str(path)).replace(path.name, "") for path in (there, gone)]
    assert answers[0] == answers[1] and '"probability": 0' not in answers[0]


def post(address: str, form: str, cell: str) -> str:
    """The answer to one cell as plain text, also when it is a refusal."""
    frame = {"dataframe_split": {"columns": ["image"], "data": [[cell]]}}
    body, kind = (f"image\n{cell}\n", "text/csv") if form == "csv" else (json.dumps(frame), "application/json")
    request = urllib.request.Request(f"{address}/invocations", body.encode(), {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()
