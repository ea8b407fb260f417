"""What the shapes cost: orchestration embedded and on a team server, four runs at once, a data version from S3, Ray.

Needs what `make test-services` needs (infra/dev/packages.sh); without an S3 server only the embedded shape is measured.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumo.data.object_storage import CONNECTIONS, Bucket
from pneumo.data.store import packs
from pneumo.data.store.versions import keep_version
from pneumo.operations.prefect_api import PrefectApi
from pneumo.settings.data import Data

ROOT = Path(__file__).parents[1]
IMAGES, BYTES = 5_856, 200_000  # the Kaggle set has 1.2 GB in 5,856 files
ONE_BY_ONE = 200  # images fetched as single objects, to say what packing saves
SMALL = {"data": "phantom:96", "backbones": ["MobileNet:0.25"], "epochs": 1, "image_size": 32, "ensemble": False}
FIRST_PORT = 18400
Row = dict[str, Any]
RAY = """
import json, os, sys, time
from ray.cluster_utils import Cluster
machines, home = int(sys.argv[1]), sys.argv[2]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
os.environ["RAY_ADDRESS"] = cluster.address
for number in range(machines):
    cluster.add_node(num_cpus=1, memory=2 << 30, env_vars={"PNEUMO_HOME": f"{home}/machine{number}"})
from pneumo.settings import load_settings
from flows.train import train
begun = time.monotonic()
train(data="phantom:480", backbones=["MobileNet:0.25", "MobileNetV2:0.35"], epochs=4, image_size=64, ensemble=False)
print(json.dumps(time.monotonic() - begun))
cluster.shutdown()
"""


def rows() -> list[Row]:
    """One row per figure."""
    with tempfile.TemporaryDirectory(prefix="pneumo-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # Postgres runs as another user and has its data below
        with servers(embedded := environment(folder / "embedded")) as started:
            found = runs("embedded", embedded, started)
        if not shutil.which("swift-proxy-server"):
            return found
        with stores(folder / "team") as given:
            team = environment(folder / "team" / "home") | given
            with servers(team) as started:
                found += [*runs("team server", team, started), *on_ray(team, folder)]
            return [*found, *pull(team, folder)]


def environment(home: Path) -> dict[str, str]:
    """Variables of an embedded shape with four places for runs, and the gates open."""
    gates = {"MINIMUM_AUC": 0, "MINIMUM_SENSITIVITY": 0, "MINIMUM_SPECIFICITY": 0, "MAXIMUM_CALIBRATION_ERROR": 1}
    return {
        **{name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"},
        **{f"PNEUMO_PROMOTION__{name}": str(value) for name, value in gates.items()},
        "PNEUMO_HOME": str(home),
        "PNEUMO_SERVICES__PREFECT_PORT": str(FIRST_PORT + 10),
        "PNEUMO_SERVICES__MLFLOW_PORT": str(FIRST_PORT + 11),
        "PNEUMO_POOL__RUNS_AT_ONCE": "4",
    }


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """Postgres and an S3 server; their settings."""
    script, variables = ROOT / "infra/dev/team.sh", os.environ | {"FIRST_PORT": str(FIRST_PORT)}
    subprocess.run([script, "up", folder], env=variables, check=True)
    try:
        lines = (folder / "team.env").read_text().splitlines()
        yield dict(line.split("=", 1) for line in lines)
    finally:
        subprocess.run([script, "down", folder], check=False)


@contextmanager
def servers(variables: dict[str, str]) -> Iterator[float]:
    """Prefect, MLflow and worker; the seconds they took to start."""
    bucket = ["--bucket"] if "PNEUMO_DATA__STORAGE" in variables else []
    try:
        yield seconds(lambda: pneumo(variables, "up", *bucket))
    finally:
        subprocess.run([sys.executable, "-m", "pneumo.cli", "down"], env=variables, cwd=ROOT, check=False)


def runs(shape: str, variables: dict[str, str], started: float) -> list[Row]:
    """Overhead of a run, and four at once against one; the first run, which fills caches, is not counted."""
    one_run(variables, seed=100)
    one = one_run(variables, seed=101)
    with ThreadPoolExecutor(4) as pool:
        four = seconds(lambda: list(pool.map(lambda seed: one_run(variables, seed), range(102, 106))))
    return [
        row(f"{shape}: servers up", started, "s", "from nothing to deployments registered"),
        row(f"{shape}: overhead of a run", one["wall"] - one["work"], "s", "command to summary, less the tasks"),
        row(f"{shape}: deployment run to first task", one["first"], "s", "request to start of the first task"),
        row(f"{shape}: one run", one["wall"], "s", "96 phantom images, one backbone"),
        row(f"{shape}: four runs at once", four, "s", f"{4 * one['wall'] / four:.2f} times one after another"),
    ]


def one_run(variables: dict[str, str], seed: int) -> dict[str, float]:
    """Seconds of a run: all, those of its tasks, and from the request to the first task."""
    parameters = [part for name, value in {**SMALL, "seed": seed}.items() for part in pair(name, value)]
    begun = time.monotonic()
    summary = json.loads(pneumo(variables, "train", "--json", *parameters))
    wall = time.monotonic() - begun
    os.environ["PREFECT_API_AUTH_STRING"] = variables.get("PREFECT_API_AUTH_STRING", "")
    api = PrefectApi(f"http://127.0.0.1:{variables['PNEUMO_SERVICES__PREFECT_PORT']}/api")
    run, tasks = api.run(summary["flow_run_id"]), api.tasks(summary["flow_run_id"])
    asked, first = (datetime.fromisoformat(text) for text in (run["created"], min(t["start_time"] for t in tasks)))
    work = sum(task["total_run_time"] for task in tasks)
    return {"wall": wall, "work": work, "first": (first - asked).total_seconds()}


def pair(name: str, value: Any) -> list[str]:
    return ["--data", value] if name == "data" else ["--param", f"{name}={json.dumps(value)}"]


def pneumo(variables: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "pneumo.cli", *arguments]
    return subprocess.run(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def pull(variables: dict[str, str], folder: Path) -> list[Row]:
    """A data version to a cold worker, beside what the store gives to plain clients."""
    os.environ |= {name: value for name, value in variables.items() if name.startswith("AWS_")}
    settings = Data(storage="s3://pneumo/bench")
    version = draw(folder / "drawn")
    megabytes = IMAGES * BYTES / 1e6
    pushed = seconds(lambda: packs.push(version, settings))
    pulled = seconds(lambda: packs.pull(version.digest, folder / "cold", settings))
    bucket = Bucket("s3://pneumo/bench/shards/", None)
    keys = [item.key for item in bucket.list()]
    serial = seconds(lambda: [bucket.get(key) for key in keys])
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        limit = seconds(lambda: [None for _ in pool.map(lambda key: len(bucket.get(key)), keys)])
    copied = seconds(lambda: aws_copy(variables, folder / "copied")) if shutil.which("aws") else None
    for number, path in enumerate(sorted(version.root.rglob("*.jpeg"))[:ONE_BY_ONE]):
        bucket.put(f"single/{number}", path.read_bytes())
    single = seconds(lambda: [bucket.get(f"single/{number}") for number in range(ONE_BY_ONE)])
    what = f"{IMAGES} images, {megabytes / 1000:.1f} GB, {len(keys)} objects"
    return [
        row("data version: push", megabytes / pushed, "MB/s", what),
        row("data version: pull to a cold worker", megabytes / pulled, "MB/s", "every byte verified and on disk"),
        row("the same objects, plain client, one at a time", megabytes / serial, "MB/s", "boto3, kept nowhere"),
        row("the same objects, all connections, kept nowhere", megabytes / limit, "MB/s", "the store's own limit"),
        *([row("the same objects, aws s3 cp", megabytes / copied, "MB/s", "onto disk, unverified")] if copied else []),
        row("images as single objects, one at a time", ONE_BY_ONE * BYTES / 1e6 / single, "MB/s", "as most tools do"),
    ]


def aws_copy(variables: dict[str, str], target: Path) -> None:
    """What Amazon's own command (package awscli, not among ours) makes of the shards."""
    command = ["aws", "s3", "cp", "--recursive", "--quiet", "s3://pneumo/bench/shards/", target]
    subprocess.run(command, env=variables, check=True)


def draw(folder: Path) -> Any:
    """A version of files of random bytes, as large as chest X-rays; nothing here decodes them."""
    random, found = np.random.default_rng(0), []
    for number in range(IMAGES):
        path = folder / f"train/NORMAL/{number:05d}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = random.bytes(BYTES)
        path.write_bytes(data)
        found.append((path.relative_to(folder).as_posix(), hashlib.sha256(data).hexdigest(), f"p{number}"))
    manifest = pd.DataFrame(found, columns=["path", "sha256", "patient"])
    fixed = {"bytes": BYTES, "label": "NORMAL", "subtype": "none", "split": "train", "folder": "train"}
    return keep_version(manifest.assign(**fixed), "bench", True, folder, folder.with_name("home"))


def on_ray(variables: dict[str, str], folder: Path) -> list[Row]:
    """Two trainings on one and on two machines of a Ray cluster on loopback, a core each."""
    times = {}
    for machines in (1, 2):
        home = folder / f"ray{machines}"
        own = {"PNEUMO_HOME": str(home / "head"), "PNEUMO_ENGINE__ADDRESS": "auto", "PNEUMO_ENGINE__MEMORY_GIB": "1"}
        own |= {"PREFECT_API_URL": f"http://127.0.0.1:{variables['PNEUMO_SERVICES__PREFECT_PORT']}/api"}
        own |= {"RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, "-c", RAY, str(machines), str(home)]
        done = subprocess.run(command, env=variables | own, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        times[machines] = json.loads(done.stdout.strip().splitlines()[-1])
    note = "two backbones, four epochs, 480 phantom images"
    return [
        row("Ray: one machine", times[1], "s", note),
        row("Ray: two machines", times[2], "s", f"{times[1] / times[2]:.2f} times one"),
    ]


def seconds(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def row(name: str, value: float, unit: str, note: str = "") -> Row:
    return {"name": name, "value": round(value, 2), "unit": unit, "note": note}
