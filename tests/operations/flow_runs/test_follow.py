"""What a terminal shows of a run on a real Prefect server."""

import io
import threading
import time

import httpx
from rich.console import Console

from pneumo.operations.flow_runs.follow import follow
from pneumo.operations.prefect_api import PrefectApi


class Run:
    """A flow run with one training under way: its task and its progress bar, as Prefect's own client makes them."""

    def __init__(self, url: str) -> None:
        self._server = httpx.Client(base_url=url, timeout=60)
        flow = self._post("/flows/", name="follow")["id"]
        self.id = self._post("/flow_runs/", flow_id=flow, state={"type": "RUNNING", "name": "Running"})["id"]
        self._task = self._post(
            "/task_runs/", flow_run_id=self.id, task_key="train", dynamic_key="1", name="train MobileNet 1.0",
            state={"type": "RUNNING", "name": "Running"},
        )["id"]  # fmt: skip
        words = "MobileNet 1.0: tuning 2/4, 31 images/s, 95 s left"
        self._bar = self._post(
            "/artifacts/", key="progress-mobilenet", type="progress", description=words, data=40.0, flow_run_id=self.id
        )["id"]

    def say(self, words):
        """The training has come so far."""
        body = {"description": f"MobileNet 1.0: {words}", "data": 50.0}
        self._server.patch(f"/artifacts/{self._bar}", json=body).raise_for_status()

    def end(self) -> None:
        """The training is done, then the run."""
        for place in (f"/task_runs/{self._task}", f"/flow_runs/{self.id}"):
            self._post(f"{place}/set_state", state={"type": "COMPLETED", "name": "Completed"}, force=True)

    def _post(self, path, **body):
        answer = self._server.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


def following(address, run, steps, terminal):
    """What is shown of a run that goes on by these steps, each taken once a text is shown."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)

    def go_on():
        for shown, step in steps:
            deadline = time.monotonic() + 60
            while shown not in console.file.getvalue() and time.monotonic() < deadline:
                time.sleep(0.05)
            step()
            time.sleep(0.5)  # so that it is looked at

    going = threading.Thread(target=go_on)
    going.start()
    assert follow(PrefectApi(address), run.id, console, every=0.1)["state_type"] == "COMPLETED"
    going.join()
    return console.file.getvalue()


def test_a_terminal_shows_a_bar_per_backbone_in_place(prefect_server):
    run = Run(prefect_server)
    said = following(prefect_server, run, [("31 images/s, 95 s left", run.end)], terminal=True)
    assert "train MobileNet 1.0" in said and "\x1b" in said


def test_a_log_gets_a_line_per_backbone_and_epoch(prefect_server):
    run = Run(prefect_server)
    steps = [
        ("", lambda: run.say("tuning 2/4, 30 images/s, 80 s left, validation_auc 0.9900")),
        ("", lambda: run.say("tuning 3/4, 33 images/s, 60 s left")),
        ("0.9900", lambda: run.say("tuning 3/4, 32 images/s, 40 s left")),
        ("", lambda: run.say("scoring")),
        ("scoring", run.end),
    ]
    said = following(prefect_server, run, steps, terminal=False)
    assert [line.strip() for line in said.splitlines()][:-1] == [
        "MobileNet 1.0: tuning 2/4, 30 images/s, 80 s left, validation_auc 0.9900",
        "MobileNet 1.0: tuning 3/4, 32 images/s, 40 s left",
        "MobileNet 1.0: scoring",
    ]
    assert "train MobileNet 1.0" in said and "\x1b" not in said and "\r" not in said
