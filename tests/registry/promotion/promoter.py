"""A process that promotes, for tests that kill it or run two at once.

Reads lines of JSON {evaluation, version, settings, home, parent, wait, die} and answers each with a line of JSON. The
work is done in a fork, so that the imports are paid once and a SIGKILL ends this one promotion only.
`die`: point in CALLS, or alias, before which it kills itself, or "end". `wait`: [file, file]: before the
announcement it makes the first and waits for the second.
"""

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pneumo.errors import PneumoError
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Evaluation
from pneumo.registry.promotion import comparison, load_check, state_machine
from pneumo.settings import Settings
from pneumo.tracking.models.registry import ModelRegistry

CALLS = {"register": "register", "describe": "describe_version", "announce": "set_model_tag"}

spec = importlib.util.spec_from_file_location("registry_conftest", Path(__file__).parents[1] / "conftest.py")
assert spec and spec.loader
conftest = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = conftest
spec.loader.exec_module(conftest)
load_check.ask = comparison.ask = conftest.in_this_process


def main() -> None:
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, json.dumps(promoted(json.loads(line))).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            said = answer.read()
        os.waitpid(child, 0)
        sys.stdout.write((said or json.dumps("killed")) + "\n")
        sys.stdout.flush()


def promoted(job: dict[str, Any]) -> str:
    """Version of the new champion, or why there is none."""
    if job["die"]:
        before(job["die"], lambda: os.kill(os.getpid(), signal.SIGKILL))
    if job["wait"]:
        before("announce", lambda: meet(*job["wait"]))
    try:
        decision = state_machine.promote(
            [Evaluation.model_validate(job["evaluation"])],
            DatasetVersion.model_validate(job["version"]),
            Settings.model_validate(job["settings"]),
            Path(job["home"]),
            job["parent"],
        )
    except PneumoError as error:
        return f"error: {error}"
    if job["die"] == "end":
        os.kill(os.getpid(), signal.SIGKILL)
    return decision.version if decision.promoted else decision.reason


def before(point: str, act: Callable[[], None]) -> None:
    """Do something right before a call of the registry; `point` is a name in CALLS, or the alias that is moved."""
    name = CALLS.get(point, "set_alias")
    real = getattr(ModelRegistry, name)

    def call(*args: Any) -> Any:
        if point in (*CALLS, args[2]):
            act()
        return real(*args)

    setattr(ModelRegistry, name, call)


def meet(mine: str, other: str) -> None:
    """Go on when the other one is here, too."""
    Path(mine).touch()
    deadline = time.monotonic() + 120
    while not Path(other).exists() and time.monotonic() < deadline:
        time.sleep(0.002)


if __name__ == "__main__":
    main()
