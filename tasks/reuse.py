"""How finished stages are recognised across runs: by their inputs, settings and code, never by Prefect's own guess."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.context import TaskRunContext

from pneumo.stages import code_version, stage_key

# What names the run and not the work: a finished stage is the same whichever run asks for it.
NOT_WORK = frozenset({"run_id", "parent_run", "home"})


def keyed(stage: str, *code: str) -> Callable[[TaskRunContext, dict[str, Any]], str]:
    """A Prefect cache key of a stage: its parameters and the source of the named parts of pneumo."""

    def key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
        work = {name: value for name, value in parameters.items() if name not in NOT_WORK}
        return stage_key(stage, work=work, code=code_version(*code), cache=cache_identity(parameters["home"]))

    return key


def cache_identity(home: Path) -> str:
    """A name for this cache folder's life: remove the folder, and nothing in Prefect points into it any more."""
    file = home / "cache" / ".identity"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(uuid.uuid4().hex)
    return file.read_text()
