"""One real run for all tests of this folder: servers, worker, deployment, training, registry, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import free_port

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PHANTOM = "pneumonia-classifier-phantom"
SMALL = {"data": "phantom:96", "backbones": ["MobileNet:0.25", "MobileNet:0.5"], "epochs": 2, "image_size": 64}
# A phantom of this size and two epochs teach little: here the path is tested, so the gates that judge a model are open.
OPEN = {
    "MINIMUM_AUC": "0",
    "MINIMUM_SENSITIVITY": "0",
    "MINIMUM_SPECIFICITY": "0",
    "MAXIMUM_CALIBRATION_ERROR": "1",
    "MAXIMUM_SLICE_DROP": "1",
    "MAXIMUM_LATENCY_MS": "60000",
}


@pytest.fixture(scope="package")
def user(tmp_path_factory):
    """The environment of someone whose servers are up."""
    prefect_port, mlflow_port = free_port(), free_port()
    environment = {
        **os.environ,
        "PNEUMO_HOME": str(tmp_path_factory.mktemp("home")),
        "PNEUMO_SERVICES__PREFECT_PORT": str(prefect_port),
        "PNEUMO_SERVICES__MLFLOW_PORT": str(mlflow_port),
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect_port}/api",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}",
        "PNEUMO_EXTERNAL": json.dumps([str(elsewhere(tmp_path_factory.mktemp("other hospital")))]),
        **{f"PNEUMO_PROMOTION__{name}": value for name, value in OPEN.items()},
    }
    started = call(environment, "pneumo", "up")
    assert started.returncode == 0, started.stderr
    yield environment
    call(environment, "pneumo", "down")


def elsewhere(folder, images=12):
    """A set of another hospital: gray noise in two class folders."""
    for label in ("NORMAL", "PNEUMONIA"):
        (folder / label).mkdir(parents=True)
        for number in range(images):
            pixels = np.random.default_rng(100 * len(label) + number).integers(0, 256, (80, 96), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def call(environment, *command):
    return subprocess.run(
        [BIN / command[0], *command[1:]], env=environment, cwd=PROJECT, capture_output=True, text=True
    )


def run_deployment(user, **values):
    pairs = [part for name, value in values.items() for part in ("--param", f"{name}={json.dumps(value)}")]
    return call(user, "prefect", "deployment", "run", "pneumonia/train", "--watch", *pairs)


@pytest.fixture(scope="package")
def first_run(user):
    return run_deployment(user, **SMALL)


@pytest.fixture(scope="package")
def client(user, first_run):
    from mlflow import MlflowClient

    return MlflowClient(user["MLFLOW_TRACKING_URI"])
