"""What a terminal shows of a run on a real Prefect server."""

import io
import threading
import time

import httpx
import pytest
from rich.console import Console

from pneumo.operations.follow import follow
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
        self._post(
            "/artifacts/", key="progress-mobilenet", type="progress", description=words, data=40.0, flow_run_id=self.id
        )

    def end(self) -> None:
        """The training is done, then the run."""
        for place in (f"/task_runs/{self._task}", f"/flow_runs/{self.id}"):
            self._post(f"{place}/set_state", state={"type": "COMPLETED", "name": "Completed"}, force=True)

    def _post(self, path, **body):
        answer = self._server.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_a_bar_per_backbone_a_file_only_what_finished(prefect_server, terminal):
    run, console = Run(prefect_server), Console(file=io.StringIO(), force_terminal=terminal, width=120)

    def end_once_it_was_seen():
        deadline = time.monotonic() + 60
        while terminal and "95 s left" not in console.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.1)
        run.end()

    ending = threading.Thread(target=end_once_it_was_seen)
    ending.start()
    assert follow(PrefectApi(prefect_server), run.id, console, every=0.2)["state_type"] == "COMPLETED"
    ending.join()
    said = console.file.getvalue()
    assert "train MobileNet 1.0" in said
    assert ("31 images/s, 95 s left" in said) is terminal
    assert ("\x1b" in said) is terminal
