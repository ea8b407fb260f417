"""Follow a flow run in the terminal: a line per finished stage, one live line for what runs now."""

import time
from typing import Any

from rich.console import Console

from pneumo.errors import ServiceError
from pneumo.operations.prefect_api import FINAL_STATES, PrefectApi


def follow(api: PrefectApi, run_id: str, console: Console, every: float = 2.0) -> dict[str, Any]:
    """Wait for the end of a flow run and return it; the API's patience is for how long a silent server is waited for.

    Raises:
        ServiceError: the server stayed silent for longer.
    """
    seen: set[str] = set()
    with console.status("waiting for the worker") as live:
        while True:
            run, tasks = api.run(run_id), api.tasks(run_id)
            for task in tasks:
                _report(task, seen, console)
            if run["state_type"] in FINAL_STATES:
                return run
            live.update(_now(api, run, tasks, run_id))
            time.sleep(every)


def _report(task: dict[str, Any], seen: set[str], console: Console) -> None:
    if task["state_type"] not in FINAL_STATES or task["id"] in seen:
        return
    seen.add(task["id"])
    how = "reused" if task["state_name"] == "Cached" else task["state_name"].lower()
    how = f"{task['total_run_time']:.1f} s" if how == "completed" else how
    console.print(f"  {task['name']:<32} {how}", highlight=False)


def _now(api: PrefectApi, run: dict[str, Any], tasks: list[dict[str, Any]], run_id: str) -> str:
    running = [task["name"] for task in tasks if task["state_type"] == "RUNNING"]
    if not running:
        return str(run["state_name"]).lower()
    return ", ".join(running) + _progress(api, run_id)


def _progress(api: PrefectApi, run_id: str) -> str:
    try:
        words = api.progress(run_id)
    except ServiceError:
        return ""  # the next look tells
    return f": {words}" if words else ""
