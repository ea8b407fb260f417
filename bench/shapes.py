"""The main job on real X-rays in three shapes: embedded, Postgres and S3, and trainings on Ray; do they agree?

Needs what `make test-services` needs (infra/dev/packages.sh), ../shared/data/chest_xray and ../shared/weights. The
settings are the usual ones but for two of the smaller backbones. On Ray a training has one core of a machine of its own
on loopback, and gets its images from S3 by their digest.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.infra import ROOT, environment, pneumo, row, servers, stores

ON_REQUEST = True  # a quarter of an hour on two cores
SHARED = ROOT.parent / "shared"
DATA, WEIGHTS = SHARED / "data/chest_xray", SHARED / "weights"
BACKBONES = ["MobileNetV3Small", "MobileNetV2:0.35"]
RAY = """
import json, os, sys
from ray.cluster_utils import Cluster
home, parameters = sys.argv[1], json.loads(sys.argv[2])
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
os.environ["RAY_ADDRESS"] = cluster.address
for number in range(2):
    cluster.add_node(num_cpus=1, memory=3 << 30, env_vars={"PNEUMO_HOME": f"{home}/machine{number}"})
from flows.train import train
train(**parameters)
cluster.shutdown()
"""
Row = dict[str, Any]


def rows() -> list[Row]:
    """Validation and test AUC of every candidate by shape, and the seconds of each run; empty without the images."""
    if not (DATA.is_dir() and WEIGHTS.is_dir()):
        return []
    with tempfile.TemporaryDirectory(prefix="pneumo-shapes-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # Postgres runs as another user and has its data below
        embedded = environment(folder / "embedded")
        with servers(embedded):
            found = shown("embedded", *by_command(embedded))
        with stores(folder / "team") as given:
            team = environment(folder / "team" / "home") | given
            with servers(team):
                found += shown("Postgres and S3", *by_command(team))
                found += shown("Ray", *on_ray(team, folder / "ray"))
    return found


def by_command(variables: dict[str, str]) -> tuple[dict[str, Any], float]:
    """`pneumo train`; its summary and its seconds."""
    given = ["--data", str(DATA), "--weights", str(WEIGHTS), "--backbones", ",".join(BACKBONES)]
    begun = time.monotonic()
    summary: dict[str, Any] = json.loads(pneumo(variables, "train", "--json", *given))
    return summary, time.monotonic() - begun


def on_ray(variables: dict[str, str], home: Path) -> tuple[dict[str, Any], float]:
    """The same flow with `engine.address` set, on two machines made on loopback."""
    own = {"PNEUMO_HOME": str(home / "head"), "PNEUMO_ENGINE__ADDRESS": "auto", "PNEUMO_ENGINE__MEMORY_GIB": "2"}
    own |= {"PREFECT_API_URL": f"http://127.0.0.1:{variables['PNEUMO_SERVICES__PREFECT_PORT']}/api"}
    own |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    parameters = {"data": str(DATA), "weights": str(WEIGHTS), "backbones": BACKBONES}
    command = [sys.executable, "-c", RAY, str(home), json.dumps(parameters)]
    begun = time.monotonic()
    subprocess.run(command, env=os.environ | variables | own, cwd=ROOT, stdout=sys.stderr, check=True)
    taken = time.monotonic() - begun
    (summary,) = (home / "head").glob("runs/*/summary.json")
    return json.loads(summary.read_text()), taken


def shown(shape: str, summary: dict[str, Any], taken: float) -> list[Row]:
    """A row for the run, and one for each candidate."""
    print(shape, f"{taken:.0f} s", json.dumps(summary), file=sys.stderr, flush=True)
    decision, digest = summary["decision"], summary["digest"][:12]
    promoted = "promoted" if decision["promoted"] else "not promoted"
    return [
        row(f"{shape}: the main job", taken, "s", f"data set {digest}, {promoted}"),
        *(
            {
                "name": f"{shape}: {candidate['name']}",
                "value": round(candidate["validation_auc"], 4),
                "unit": "AUC",
                "note": f"validation; test {candidate['test_auc']['value']:.4f}",
            }
            for candidate in summary["candidates"]
        ),
    ]
