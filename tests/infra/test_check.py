"""Each check of infra/ says no to a planted fault, and yes to what is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
KUSTOMIZE = pytest.mark.skipif(
    not (shutil.which("kubectl") or shutil.which("kustomize")), reason="neither kubectl nor kustomize is installed"
)
FAULTS = [
    ("yaml", "compose.yaml", "name: pneumo\n", "name: pneumo\nname: twice\n", "duplication of key"),
    ("compose", "compose.yaml", "  read_only: true\n", "  read_olny: true\n", "read_olny"),
    ("compose", "compose.yaml", "postgres:17.6-bookworm}", "postgres:latest}", "with its version"),
    ("images", "images/Dockerfile", "USER 10001:10001\nWORKDIR /data", "USER root\nWORKDIR data", "DL3000"),
    (
        "scripts",
        "postgres/create.sh",
        'create mlflow "$MLFLOW_DATABASE_PASSWORD"',
        "create mlflow $MLFLOW_DATABASE_PASSWORD",
        "SC2086",
    ),
    ("kubernetes", "kubernetes/base/mlflow.yaml", "runAsNonRoot: true", "runAsNonRoot: maybe", "runAsNonRoot"),
    ("kubernetes", "kubernetes/base/worker.yaml", "serviceAccountName:", "serviceAcountName:", "serviceAcountName"),
]


@pytest.fixture
def infra(tmp_path):
    shutil.copytree(PROJECT / "infra", tmp_path / "infra")
    return tmp_path / "infra"


def check(folder, step):
    linters = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [PROJECT / "infra/dev/check.sh", folder, step],
        env=os.environ | linters, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("step", ["yaml", "compose", "images", "scripts", pytest.param("kubernetes", marks=KUSTOMIZE)])
def test_what_is_there_passes(infra, step):
    done = check(infra, step)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("step", "file", "right", "wrong", "said"),
    [pytest.param(*fault, marks=KUSTOMIZE if fault[0] == "kubernetes" else ()) for fault in FAULTS],
)
def test_a_planted_fault_is_found(infra, step, file, right, wrong, said):
    text = (infra / file).read_text()
    assert right in text
    (infra / file).write_text(text.replace(right, wrong, 1))
    done = check(infra, step)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
