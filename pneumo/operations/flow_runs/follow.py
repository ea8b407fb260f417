"""Follow a flow run: a line for each finished stage; in a terminal bars of the backbones, in a log a line per epoch."""

import time
from contextlib import nullcontext
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
    with Live(console) if console.is_terminal else nullcontext(Lines(console)) as view:
        while True:
            run, tasks = api.run(run_id), api.tasks(run_id)
            view.show(_now(run, tasks), _bars(api, run_id))
            for task in tasks:
                _report(task, seen, console)
            if run["state_type"] in FINAL_STATES:
                return run
            time.sleep(every)


class Lines:
    """A line per backbone and epoch once it is over, for what keeps text, such as a log: nothing is drawn over."""

    def __init__(self, console: Console) -> None:
        self.console, self.last = console, dict[str, str]()

    def show(self, _: str, bars: dict[str, Bar]) -> None:
        """Print what has come to its end, in the last words that were heard of it, and what begins without epochs."""
        for name, (_percent, words) in bars.items():
            before, self.last[name] = self.last.get(name, ""), words
            if _part(before) == _part(words):
                continue
            for said in (before if "/" in _part(before) else "", "" if "/" in _part(words) else words):
                if said:
                    self.console.print(f"  {name}: {said}", highlight=False, soft_wrap=True)


class Live:
    """Shows what runs now, and a bar for each backbone with rate and time left; draws over its own lines."""

    def __init__(self, console: Console) -> None:
        columns = TextColumn("  {task.description:<32}"), BarColumn(24), TextColumn("{task.fields[words]}")
        self.display = Progress(*columns, console=console, transient=True)
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


def _part(words: str) -> str:
    """What a bar's words are about: "tuning 2/4" of "tuning 2/4, 31 images/s, 95 s left"."""
    return words.partition(", ")[0]


def _now(run: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    running = [task["name"] for task in tasks if task["state_type"] == "RUNNING"]
    return ", ".join(running) or str(run["state_name"]).lower()


def _bars(api: PrefectApi, run_id: str) -> dict[str, Bar]:
    try:
        return api.progress(run_id)
    except ServiceError:
        return {}  # the next request will tell
