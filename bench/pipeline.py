"""The whole job as a user runs it: minutes, peak memory of any process, seconds that are neither data nor training.

On `../shared/data/chest_xray` with `../shared/weights` where they are present, else on the phantom set.
PNEUMO_BENCH_HOME names a state folder that is kept, so that the pages of the run can be looked at.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil

from pneumo.operations.prefect_api import PrefectApi

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
WORK = ("ingest", "validate", "explore", "preprocess", "train", "combine", "evaluate", "promote")
PORTS = {"PREFECT": 4871, "MLFLOW": 5871}


def rows() -> list[dict[str, Any]]:
    """Run `pneumo train` twice in a fresh state folder."""
    kept = os.environ.get("PNEUMO_BENCH_HOME")
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PNEUMO_HOME": home}
        environment |= {f"PNEUMO_SERVICES__{name}_PORT": str(port) for name, port in PORTS.items()}
        environment.pop("PREFECT_API_URL", None)
        try:
            with Memory() as memory:
                first = train(environment)
            again = train(environment)
        finally:
            subprocess.run([sys.executable, "-m", "pneumo.cli", "down"], env=environment, cwd=ROOT, check=False)
    return [*figures("first run", first), *figures("second run, unchanged", again), *memory.rows(), *candidates(first)]


def train(environment: dict[str, str]) -> dict[str, Any]:
    """One run: its wall time, its summary, and the time of each task."""
    real = (SHARED / "data" / "chest_xray").is_dir()
    options = ["--data", str(SHARED / "data/chest_xray"), "--weights", str(SHARED / "weights")] if real else []
    begun = time.monotonic()
    command = [sys.executable, "-m", "pneumo.cli", "train", "--json", *options]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    wall = time.monotonic() - begun
    summary = json.loads(done.stdout)
    tasks = PrefectApi(f"http://127.0.0.1:{PORTS['PREFECT']}/api").tasks(summary["flow_run_id"])
    seconds: dict[str, float] = {}
    for task in tasks:
        stage = task["name"].split(" ")[0]
        seconds[stage] = seconds.get(stage, 0) + task["total_run_time"]
    return {"wall": wall, "summary": summary, "seconds": seconds}


def figures(run: str, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Whole time, time by stage, and what is left: orchestration."""
    stages = {name: measured["seconds"].get(name, 0.0) for name in WORK}
    note = f"{measured['summary']['images']} images of {Path(measured['summary']['source']).name}"
    return [
        {"name": f"{run}: whole job", "value": measured["wall"] / 60, "unit": "min", "note": note},
        *({"name": f"{run}: {name}", "value": value, "unit": "s"} for name, value in stages.items()),
        {"name": f"{run}: orchestration", "value": measured["wall"] - sum(stages.values()), "unit": "s",
         "note": "all else, start of the servers included"},
    ]  # fmt: skip


def candidates(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """What each candidate reached."""
    return [
        {"name": f"{row['name']}: test AUC", "value": row["test_auc"]["value"], "unit": "",
         "note": f"{row['test_auc']['low']:.4f}-{row['test_auc']['high']:.4f}; validation {row['validation_auc']:.4f}; "
                 f"{row['minutes']:.1f} min"}
        for row in measured["summary"]["candidates"] if row["test_auc"]
    ]  # fmt: skip


class Memory:
    """Peak resident memory of each process that this machine's Python runs, sampled twice a second."""

    def __enter__(self) -> "Memory":
        self.peaks: dict[str, float] = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.before = set(psutil.pids())
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def rows(self) -> list[dict[str, Any]]:
        """The five largest."""
        largest = sorted(self.peaks.items(), key=lambda item: -item[1])[:5]
        return [{"name": f"peak memory: {name}", "value": peak / 2**30, "unit": "GiB"} for name, peak in largest]

    def _watch(self) -> None:
        while not self.over.wait(0.5):
            for process in psutil.process_iter(["pid", "cmdline", "memory_info"]):
                if process.pid not in self.before and process.info["memory_info"] and process.info["cmdline"]:
                    name = kind(process.info["cmdline"])
                    self.peaks[name] = max(self.peaks.get(name, 0), process.info["memory_info"].rss)


def kind(command: list[str]) -> str:
    """What a process is, from its command line."""
    line = " ".join(command)
    names = {
        "pneumo.training": "training",
        "prefect.engine": "flow run",
        "prefect server": "Prefect server",
        "mlflow": "MLflow server",
        "prefect worker": "worker",
        "pneumo.cli": "command line",
        "fresh_process/program.py": "check of the registered model",
    }
    return next((name for part, name in names.items() if part in line), "other")
