"""A user's machine with its servers, its worker and its runs, and a hand that kills any of them."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from pneumo.errors import PneumoError
from pneumo.operations import processes
from pneumo.operations.prefect_api import FINAL_STATES, PrefectApi
from pneumo.settings.promotion import Registry
from pneumo.tracking import Tracker, healthy

ROOT = Path(__file__).parents[1]
# Tiny models judge nothing: here the path is tested, so the gates that judge a model are open, and the newer one wins.
OPEN = {
    "MINIMUM_AUC": "0", "MINIMUM_SENSITIVITY": "0", "MINIMUM_SPECIFICITY": "0", "MAXIMUM_CALIBRATION_ERROR": "1",
    "MAXIMUM_SLICE_DROP": "1", "MAXIMUM_LATENCY_MS": "60000", "TIE": "promote",
}  # fmt: skip
QUIET = {"PNEUMO_RETRAIN__CRON": "", "PNEUMO_WATCH__CRON": "", "PNEUMO_RETENTION__CRON": ""}
# The poller asks again itself; an answer that never comes would hide what it is there to see.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
LONGEST = 3600.0  # seconds that one run may take on a busy machine


class MissedError(RuntimeError):
    """A run came to its end before what was waited for was seen."""


class Site:
    """A state folder with its servers on free ports."""

    def __init__(self, home: Path, experiment: str = "pneumonia") -> None:
        self.home = home
        ports = _ports(home)
        self.mlflow = f"http://127.0.0.1:{ports[1]}"
        self.api = PrefectApi(f"http://127.0.0.1:{ports[0]}/api", timeout=60, patience=60)
        own = {"PNEUMO_HOME": str(home), "PNEUMO_SERVICES__PREFECT_PORT": str(ports[0])}
        own |= {"PNEUMO_SERVICES__MLFLOW_PORT": str(ports[1]), "PNEUMO_TRACKING__EXPERIMENT": experiment}
        own |= {f"PNEUMO_PROMOTION__{name}": value for name, value in OPEN.items()} | QUIET
        foreign = ("PREFECT_", "MLFLOW_", "PNEUMO_")
        base = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment = base | own

    def up(self) -> float:
        """`pneumo up`; returns the seconds it took."""
        begun = time.monotonic()
        done = self.command("up")
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return time.monotonic() - begun

    def down(self) -> None:
        self.command("down")

    def start(self, deployment: str, **parameters: Any) -> str:
        """Ask for a flow run."""
        return self.api.create_run(f"pneumonia/{deployment}", parameters)

    def wait(self, run_id: str) -> dict[str, Any]:
        """Wait for the end of a flow run."""
        deadline = time.monotonic() + LONGEST
        while (run := self.api.run(run_id))["state_type"] not in FINAL_STATES:
            if time.monotonic() > deadline:
                raise TimeoutError(f"flow run {run_id} is {run['state_name']} after {LONGEST:.0f} s")
            time.sleep(0.5)
        return run

    def wait_for(self, what: Callable[["Site"], bool], run_id: str) -> None:
        """Wait, looking fifty times a second, until something is so; the run ending first is an error."""
        deadline, looked = time.monotonic() + LONGEST, time.monotonic()
        while not what(self):
            if time.monotonic() - looked > 5:
                looked = time.monotonic()
                state = self.api.run(run_id)["state_type"]
                if state in FINAL_STATES or looked > deadline:
                    raise MissedError(f"flow run {run_id} is {state}, and what was waited for has not come")
            time.sleep(0.02)

    def has(self, pattern: str) -> bool:
        """Whether a path like this is in the state folder."""
        return next(self.home.glob(pattern), None) is not None

    def _kill(self, found: list[psutil.Process]) -> list[int]:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(found, timeout=10)
        return [process.pid for process in found]

    def kill(self, *who: str) -> list[int]:
        """SIGKILL to flow, training, worker, prefect or mlflow, found before the first is killed; returns the pids."""
        return self._kill([member for one in who for member in self.members(one)])

    def members(self, who: str) -> list[psutil.Process]:
        """The processes that make up one of them; of a service only the one that `pneumo up` started."""
        if who == "flow":
            claims = [json.loads(file.read_text()) for file in self.home.glob("runs/*/process.json")]
            return [psutil.Process(claim["pid"]) for claim in claims if processes.alive(claim["pid"], claim["created"])]
        if who == "training":
            return [child for flow in self.members("flow") for child in flow.children() if _trains(child)]
        found = processes.find(self.home / "services", who)
        return [found] if found else []

    def strays(self) -> list[str]:
        """Processes of this state folder that belong to no service and no claimed run."""
        named = {process.pid for who in ("prefect", "mlflow", "worker", "flow") for process in self.members(who)}
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                parents = {process.pid, *(parent.pid for parent in process.parents())}
                if process.environ().get("PNEUMO_HOME") == str(self.home) and not parents & named:
                    found.append(" ".join(process.cmdline())[:100])
        return found

    def memory(self, who: str) -> float:
        """Resident MiB of a service and its children; a worker's are flow runs, which are not counted."""
        own = self.members(who)
        family = own if who == "worker" else [m for one in own for m in (one, *one.children(recursive=True))]
        return sum(member.memory_info().rss for member in family) / 2**20

    def tracker(self) -> Tracker:
        """MLflow as this site's runs see it."""
        return Tracker(self.mlflow, self.environment["PNEUMO_TRACKING__EXPERIMENT"])

    def open_runs(self) -> list[str]:
        """What is not closed: MLflow runs that are running, Prefect runs under way."""
        under_way = [run["name"] for run in self.api.runs(("PENDING", "RUNNING", "CANCELLING"))]
        return [*under_way, *(run.run_id for run in self.tracker().runs.newest({}, "RUNNING", limit=1000))]

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of pneumo, as its user gives it."""
        command = [sys.executable, "-m", "pneumo.cli", *arguments]
        return subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False)


class Poller:
    """Asks for the champion all the time; every answer must be a complete version that can be loaded."""

    def __init__(self, site: Site, model: str, every: float = 0.5) -> None:
        self.site, self.model, self.every = site, model, every
        self.polls = self.unanswered = 0
        self.failures: list[str] = []
        self.weights: dict[str, str] = {}  # digest of the weights by version
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._impatience = mock.patch.dict(os.environ, IMPATIENT)

    def __enter__(self) -> "Poller":
        self._impatience.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(120)
        self._impatience.stop()

    def _poll(self) -> None:
        while not self._over.wait(self.every):
            if not healthy(self.site.mlflow):
                self.unanswered += 1
                continue
            try:
                self.polls += self._look()
            except PneumoError as error:
                if healthy(self.site.mlflow):
                    self.failures.append(str(error))
                else:
                    self.unanswered += 1  # the server went away in between

    def _look(self) -> bool:
        """Whether there was an answer to judge."""
        tracker = self.site.tracker()
        version = tracker.registry.alias(self.model, Registry().champion)
        if version is None and not self.weights:
            return False  # there has been none yet
        if version is None:
            raise PneumoError(f"{self.model} has no champion any more")
        if version not in self.weights:
            self.weights[version] = weights_of(tracker, f"models:/{self.model}/{version}")
        found = tracker.registry.version(self.model, version)
        if found is None or "files.sha256" not in found.tags or not found.description:
            raise PneumoError(f"{self.model} version {version} is not complete")
        return True


def weights_of(tracker: Tracker, uri: str) -> str:
    """Digest of a registered model's weights, loaded by Keras as a server would."""
    with tempfile.TemporaryDirectory() as folder:
        files = tracker.files.download(uri, Path(folder))
        return digest_of(next(files.rglob("model.keras")))


def digest_of(model: Path) -> str:
    """sha256 over the values of all weights: the file itself holds the time it was written."""
    import keras

    digest = hashlib.sha256()
    for weight in keras.saving.load_model(model, safe_mode=True, compile=False).weights:
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()


def size_of(folder: Path) -> int:
    """Bytes below a folder; files may come and go."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):
            total += 0 if file.is_dir() else file.stat().st_size
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ports(home: Path) -> list[int]:
    """Two ports that stay the same for a state folder."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "ports.json"
    if not file.is_file():
        file.write_text(json.dumps([free_port(), free_port()]))
    found: list[int] = json.loads(file.read_text())
    return found


def _trains(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "pneumo.training" in process.cmdline()
    return False
