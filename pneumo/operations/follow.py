"""Follow a flow run in the terminal: a line for each finished stage, a live line, and a bar for each backbone."""

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from pneumo.errors import ServiceError
from pneumo.operations.prefect_api import FINAL_STATES, PrefectApi

Bar = tuple[float, str]  # percent, words


def follow(api: PrefectApi, run_id: str, console: Console, every: float = 2.0) -> dict[str, Any]:
    """Wait for the end of a flow run and return it; a silent server is waited for as long as the API's patience.

    Raises:
        ServiceError: the server stayed silent for longer.
    """
    seen: set[str] = set()
    with Live(console) as live:
        while True:
            run, tasks = api.run(run_id), api.tasks(run_id)
            for task in tasks:
                _report(task, seen, console)
            if run["state_type"] in FINAL_STATES:
                return run
            if console.is_terminal:
                live.show(_now(run, tasks), _bars(api, run_id))
            time.sleep(every)


class Live:
    """Shows what runs now, and a bar for each backbone with rate and time left; nothing outside a terminal."""

    def __init__(self, console: Console) -> None:
        columns = TextColumn("  {task.description:<32}"), BarColumn(24), TextColumn("{task.fields[words]}")
        self.display = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.now = self.display.add_task("waiting for the worker", total=None, words="")
        self.lines: dict[str, TaskID] = {}

    def __enter__(self) -> "Live":
        self.display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.display.stop()

    def show(self, now: str, bars: dict[str, Bar]) -> None:
        """Draw the newest state; `bars` has percent and words by backbone."""
        self.display.update(self.now, description=now)
        for name, (percent, words) in bars.items():
            if name not in self.lines:
                self.lines[name] = self.display.add_task(name, total=100, words="")
            self.display.update(self.lines[name], completed=percent, words=words)


def _report(task: dict[str, Any], seen: set[str], console: Console) -> None:
    if task["state_type"] not in FINAL_STATES or task["id"] in seen:
        return
    seen.add(task["id"])
    how = "reused" if task["state_name"] == "Cached" else task["state_name"].lower()
    how = f"{task['total_run_time']:.1f} s" if how == "completed" else how
    console.print(f"  {task['name']:<32} {how}", highlight=False)


def _now(run: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    running = [task["name"] for task in tasks if task["state_type"] == "RUNNING"]
    return ", ".join(running) or str(run["state_name"]).lower()


def _bars(api: PrefectApi, run_id: str) -> dict[str, Bar]:
    try:
        return api.progress(run_id)
    except ServiceError:
        return {}  # the next request will tell
