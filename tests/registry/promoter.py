"""A process that promotes, for tests that kill it or run two at once.

Reads lines of JSON {evaluation, version, settings, home, parent, wait, die} and answers each with a line of JSON. The
work is done in a fork, so that the imports are paid once and a SIGKILL ends this one promotion only.
`die`: name of the step before which it kills itself, or "end". `wait`: [file, file]: before the announcement it makes
the first and waits for the second.
"""

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from pneumo.errors import PneumoError
from pneumo.registry import contest, promote, query
from pneumo.settings import Settings
from pneumo.stages import DatasetVersion, Evaluation

spec = importlib.util.spec_from_file_location("registry_conftest", Path(__file__).with_name("conftest.py"))
assert spec and spec.loader
conftest = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = conftest
spec.loader.exec_module(conftest)
query.ask = contest.ask = conftest.in_this_process


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
    steps = list(promote.STEPS)
    names = [*(step.__name__ for step in steps), "end"]
    if job["die"]:
        steps.insert(names.index(job["die"]), lambda course: os.kill(os.getpid(), signal.SIGKILL))
    if job["wait"]:
        steps.insert(names.index("announce"), lambda course: meet(*job["wait"]))
    promote.STEPS = tuple(steps)
    try:
        decision = promote.promote(
            [Evaluation.model_validate(job["evaluation"])],
            DatasetVersion.model_validate(job["version"]),
            Settings.model_validate(job["settings"]),
            Path(job["home"]),
            job["parent"],
        )
    except PneumoError as error:
        return f"error: {error}"
    return decision.version if decision.promoted else decision.reason


def meet(mine: str, other: str) -> None:
    """Go on when the other one is here, too."""
    Path(mine).touch()
    deadline = time.monotonic() + 120
    while not Path(other).exists() and time.monotonic() < deadline:
        time.sleep(0.002)


if __name__ == "__main__":
    main()
