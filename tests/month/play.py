"""A month on real servers: days pass by a clock that is set back, clients ask, readers answer late, flows are run."""

import base64
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from pneumo.operations.prefect_api import PrefectApi
from tests.conftest import free_port
from tests.month.clock.sitecustomize import BACK
from tests.month.hospital import OLD, Asked, asked
from tests.month.webhook import Webhook
from tests.pipeline.conftest import BIN, OPEN, PROJECT, call

DAYS, LATE = 30, 3  # of the month, and after which readers say what they saw
A_DAY, READ = 167, 60  # images that are asked about on a day, and of these that readers label, drawn by lot
CLIENTS, AT_ONCE = 4, 8  # that ask at the same time, and images in a request
MORNING, EVENING = 9 * 3600, 18 * 3600  # seconds of a day
SHADOWED = "pneumo_shadow_images_total"
PATIENCE = 600  # seconds
UNDER_WAY = ("SCHEDULED", "PENDING", "RUNNING")
STATES = (*UNDER_WAY, "PAUSED", "COMPLETED", "FAILED", "CRASHED", "CANCELLING", "CANCELLED")
Found = TypeVar("Found")


class Month:
    """The machine of a hospital whose month began `DAYS` and `LATE` days ago."""

    def __init__(self, folder: Path) -> None:
        self.source, self.home, self._clock = folder / "xrays", folder / "home", folder / "clock"
        self.webhook, self.log = Webhook(), folder / "service.log"
        ports = [free_port() for _ in range(3)]
        prefect, mlflow, serve = (f"http://127.0.0.1:{port}" for port in ports)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent / "clock"),
            BACK: str(self._clock),
            "PNEUMO_HOME": str(self.home),
            "PNEUMO_SERVICES__PREFECT_PORT": str(ports[0]),
            "PNEUMO_SERVICES__MLFLOW_PORT": str(ports[1]),
            "PREFECT_API_URL": f"{prefect}/api",
            "MLFLOW_TRACKING_URI": mlflow,
            "PNEUMO_NOTIFY_WEBHOOK": f"http://127.0.0.1:{self.webhook.server_port}",
            "PNEUMO_WATCH__CRON": "",  # the test says when
            "PNEUMO_WATCH__ANSWERS_DAYS": "7",
            "PNEUMO_RETRAIN__CRON": "",
            "PNEUMO_PROMOTION__APPROVAL": "true",
            "PNEUMO_SERVE__PORT": str(ports[2]),
            "PNEUMO_SERVE__SHADOW": "challenger",
            "PNEUMO_SERVE__FOLLOW_SECONDS": "1",
            **{f"PNEUMO_PROMOTION__{name}": value for name, value in OPEN.items()},
        }
        self.prefect, self.client = PrefectApi(f"{prefect}/api"), httpx.Client(base_url=serve, timeout=120)
        self._began, self._unread, self.asked = time.time(), [], 0
        self.day(0, MORNING)

    def day(self, number: int, second: int) -> None:
        """Set the clock to a second of a day of the month; from there it goes on."""
        midnight = self._began // 86400 * 86400 - (DAYS + LATE) * 86400
        scratch = self._clock.with_suffix(".new")
        scratch.write_text(str(time.time() - (midnight + number * 86400 + second)))
        scratch.replace(self._clock)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command as a user gives it, which succeeds."""
        done = call(self.environment, *command)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def flow(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """The run of a deployment, once it pauses or ends."""
        return self.settled(self.prefect.create_run(deployment, parameters))

    def settled(self, run: str, *under_way: str) -> dict[str, Any]:
        """A flow run that is in none of these states any more: it pauses, or has ended."""

        def at_rest() -> dict[str, Any] | None:
            found = self.prefect.run(run)
            return None if found["state_type"] in {*UNDER_WAY, *under_way} else found

        return until(at_rest, f"flow run {run} to end")

    def retrainings(self) -> list[str]:
        """Ids of all retrainings that there were."""
        return [run["id"] for run in self.prefect.runs(STATES, self.prefect.deployments()["retrain"])]

    def retraining(self, before: Sequence[str] = ()) -> dict[str, Any]:
        """The retraining that the automation starts beside those of before, once it pauses or has ended."""
        new = until(lambda: set(self.retrainings()) - set(before), "the automation to start a retraining")
        return self.settled(new.pop())

    def log_of(self, run: str) -> str:
        """The log of a flow run."""
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(line["message"] for line in self.prefect.ask("POST", "/logs/filter", wanted))

    @contextmanager
    def serving(self) -> Any:
        """The service of the champion, which follows it."""
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                [BIN / "pneumo", "serve"], env=self.environment, cwd=PROJECT, stdout=log, stderr=log
            )
        try:
            until(self.ready, "the service to be ready")
            yield
        finally:
            server.terminate()
            server.wait(60)

    def ready(self) -> dict[str, str]:
        """What /ready says; empty before."""
        try:
            answer = self.client.get("/ready")
        except httpx.TransportError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def days(self, first: int, last: int, device: str = OLD) -> None:
        """Days on which clients ask, and readers say what was asked some days before."""
        for number in range(first, last):
            self.day(number, MORNING)
            if number < DAYS:
                images = list(itertools.islice(asked(self.home, device, number), A_DAY))
                self._unread.append(self._ask(images)[:READ])
            self.day(number, EVENING)
            if number >= LATE:
                self._read(self._unread[number - LATE])

    def _ask(self, images: list[Asked]) -> list[tuple[str, str]]:
        """Ask about images, some at once; the hash by which each answer is known, and what the image shows."""
        before = self._shadowed()
        with ThreadPoolExecutor(CLIENTS) as clients:
            parts = [images[place : place + AT_ONCE] for place in range(0, len(images), AT_ONCE)]
            hashes = list(itertools.chain.from_iterable(clients.map(self._hashes, parts)))
        self.asked += len(images)
        if before is not None:
            until(lambda: (self._shadowed() or 0) >= before + len(images), "the shadow to have scored")
        return list(zip(hashes, (image.label for image in images), strict=True))

    def _hashes(self, images: list[Asked]) -> list[str]:
        body = {"images": [base64.b64encode(image.content).decode() for image in images]}
        answer = self.client.post("/v1/predict", json=body)
        assert answer.status_code == 200, answer.text
        return [row["image"] for row in answer.json()["answers"]]

    def _shadowed(self) -> int | None:
        """Images that the shadow was offered; None without one."""
        lines = self.client.get("/metrics").text.splitlines()
        figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        if figures.get("pneumo_shadow_ready") != "1.0":
            return None
        return int(sum(float(value) for name, value in figures.items() if name.startswith(SHADOWED)))

    def _read(self, known: list[tuple[str, str]]) -> None:
        said = [{"image": image, "label": label, "reader": "A"} for image, label in known]
        answer = self.client.post("/v1/feedback", json={"feedback": said})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()["outcomes"]) == {"kept"}, answer.json()


def until(look: Callable[[], Found], what: str) -> Found:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.5)
    return found
