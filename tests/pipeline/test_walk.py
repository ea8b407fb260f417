"""The walk through the documentation: its commands run as they are written, on the machine of someone who has trained.

Only what stands for the reader's own things is replaced: folders, addresses, the registered model, digests.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import free_port
from tests.data.conftest import dicom
from tests.docs.blocks import PROJECT, blocks, commands
from tests.pipeline.conftest import BIN, PHANTOM, call, elsewhere

pytestmark = [pytest.mark.services, pytest.mark.slow]

# What another test runs, or nothing can run here: the beginning of the command, and where or why.
ELSEWHERE = {
    "pneumo app": "tests/serving/test_web_page.py",
    "pneumo backup": "tests/pipeline/test_backup.py",
    "pneumo restore": "tests/pipeline/test_backup.py",
    "pneumo rollback": "tests/registry/test_rollback.py",
    "pneumo lift": "tests/registry/test_rollback.py",
    "pneumo down": "tests/operations/test_unattended.py",
    "pneumo up --bucket": "tests/team/conftest.py",
    "pneumo up | down | status": "three commands in one line; each is in the walk or named here",
    "pneumo correct": "tests/data/test_corrections.py, with the question that it asks",
    "pneumo feedback": "tests/serving/test_feedback.py, and the file of the walk below",
    "pneumo predict 'dicomweb": "tests/serving/results/test_send_back.py, on a real archive",
    "pneumo data kaggle:": "tests/data/sources/test_kaggle.py, as far as one gets without the internet",
    "pneumo export": "tests/cli/test_serving.py",
    "pneumo train": "tests/pipeline/test_run.py; versions in tests/data/store, the search in tests/training",
    "prefect deployment run pneumonia/train": "tests/pipeline/test_run.py",
    "prefect deployment run pneumonia/retrain": "tests/operations/test_unattended.py",
    "prefect deployment run pneumonia/rollback": "tests/pipeline/test_run.py",
    "prefect deployment run pneumonia-predict/batch": "tests/pipeline/test_run.py",
    "prefect deployment run pneumonia/accept": "tests/registry/acceptance/test_accept.py",
    "pneumo serve": "tests/serving/service/test_api.py, and below as README has it",
    "mlflow models serve": "tests/serving/bundle/test_mlflow_serves.py",
    "mlflow gc": "named to say what it leaves behind; `pneumo clean` is ours",
}
# As README says it, in the shell of somebody who has nothing on PATH but the system.
ACTIVATION = ". .venv/bin/activate"
MAKE = f"make -C {PROJECT} --old-file=.venv/.installed ARGS= serve"  # what is installed here is what is tested
LINES = sorted({line for _, line in commands("pneumo", "prefect", "mlflow")})
WALKED = [line for line in LINES if not line.startswith(tuple(ELSEWHERE))]
# The first says the same as README; the champion of the second takes embeddings: tests/serving/bundle.
UNWALKED = ("README.fr.md", "docs/how-to/embeddings.md")
SNIPPETS = {
    block.text: block.file
    for block in blocks()
    if block.file not in UNWALKED and ("load_model" in block.text or "found = prepare" in block.text)
}
SERVED = {block.text: block.file for block in blocks() if "v1/predict" in block.text and block.file not in UNWALKED}


@pytest.fixture(scope="module")
def place(user, first_run, tmp_path_factory):
    """The project's folder, as far as commands look into it, and the things that the documentation speaks of."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copy(PROJECT / "mlflow.yaml", folder)
    drawn = next(Path(user["PNEUMO_HOME"]).glob("cache/phantom/**/test")).parent
    shutil.copytree(drawn, folder / "path/to/chest_xray")
    shutil.copytree(drawn / "test/PNEUMONIA", folder / "path/to/folder")
    shutil.copy(next((drawn / "test/NORMAL").iterdir()), folder / "xray.jpeg")
    pixels = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    (folder / "xray.dcm").write_bytes(dicom(pixels))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for file in (folder / "path/to/chest_xray").rglob("*.jpeg"):
            archive.write(file, file.relative_to(folder / "path/to"))
    elsewhere(folder / "path/to/our_xrays", images=80)
    (folder / ".venv").symlink_to(BIN.parent)
    return folder


@pytest.fixture
def reader(user, place, s3_server, upload):
    """The reader's environment: the champion of the walk is the model that the documentation calls by its name."""
    upload(place / "path/to/folder", "prefix")
    return user | {
        "PATH": os.pathsep.join(part for part in user["PATH"].split(os.pathsep) if Path(part) != BIN),
        "PNEUMO_REGISTRY__MODEL": PHANTOM,
        "PNEUMO_REGISTRY__PHANTOM_MODEL": "nobody",
        "AWS_ENDPOINT_URL_S3": s3_server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def versions(reader):
    done = call(reader, "pneumo", "versions", "--json")
    return [version["digest"] for version in json.loads(done.stdout)]


def own(text, reader, place):
    """The text with the reader's own things."""
    stands_for = {
        "accept SOURCE": "accept path/to/our_xrays",
        "SOURCE": "path/to/chest_xray",
        "/data/chest_xray": str(place / "path/to/chest_xray"),
        "s3://bucket/": "s3://hospital/",
        "http://127.0.0.1:5000": reader["MLFLOW_TRACKING_URI"],
        "models:/pneumonia-classifier/3": f"models:/{PHANTOM}/1",
        "models:/pneumonia-classifier@": f"models:/{PHANTOM}@",
        'Path(".pneumo")': f"Path({reader['PNEUMO_HOME']!r})",
    }
    for name, value in stands_for.items():
        text = text.replace(name, value)
    if "--compare A B" in text:
        text = text.replace("A B", " ".join(digest[:12] for digest in (versions(reader) * 2)[:2]))
    return text


@pytest.mark.parametrize("line", WALKED)
def test_a_command_runs_as_it_is_written(line, reader, place):
    script = f"{ACTIVATION}\n{own(line, reader, place)}"
    done = subprocess.run(["sh", "-c", script], env=reader, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=SNIPPETS.get)
def test_a_snippet_runs_as_it_is_written(snippet, reader, place):
    command = [BIN / "python", "-c", own(snippet, reader, place)]
    done = subprocess.run(command, env=reader, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("text", SERVED, ids=SERVED.get)
def test_the_served_champion_answers_curl(text, reader, place):
    port = free_port()
    # The server's own output must not hold the pipe open that the answers come through.
    ready = f">&2 &\nuntil curl -s -o /dev/null http://127.0.0.1:{port}/live; do kill -0 $! || exit; sleep 0.5; done"
    script = re.sub("make serve.*", f"{MAKE} PORT={port} {ready}", text.replace("5001", str(port)))
    script = re.sub("^pneumo serve.*", f"pneumo serve --port {port} {ready}", script, flags=re.MULTILINE)
    asked = subprocess.Popen(
        ["bash", "-c", f"{ACTIVATION}\n{script}"], env=reader, cwd=place, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        said = asked.communicate(timeout=300)[0]
        answers = [answer for line in said.replace("}{", "}\n{").splitlines() for answer in json.loads(line)["answers"]]
        assert len(answers) == text.count("curl -s")
        assert all(answer["label"] in ("NORMAL", "PNEUMONIA") for answer in answers), answers
    finally:
        os.killpg(asked.pid, signal.SIGTERM)


def test_what_readers_say_of_scored_images_is_kept(reader, place):
    """`pneumo feedback read.csv`, as README has it, after a scoring of the same image."""
    (place / "read.csv").write_text("image,label\nxray.jpeg,NORMAL\nother.jpeg,PNEUMONIA\n")
    script = f"{ACTIVATION}\npneumo predict xray.jpeg --out scored.csv && pneumo feedback read.csv --json"
    done = subprocess.run(["sh", "-c", script], env=reader, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert json.loads(done.stdout[done.stdout.index("{") :])["outcomes"] == {"kept": 1, "no such file": 1}


def test_what_is_run_elsewhere_is_still_in_the_documentation_and_where_it_says():
    for beginning, where in ELSEWHERE.items():
        assert any(line.startswith(beginning) for line in LINES), beginning
        for file in re.findall(r"tests/[\w/]+(?:\.py)?", where):
            assert (PROJECT / file).exists(), file
