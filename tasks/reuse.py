"""How finished stages are recognised across runs: by their inputs, settings and code, never by Prefect's own guess.

Prefect's persisted results would do, were they not pickled, and written so that a kill or a full disk leaves half a
file that fails every later run.
"""

import functools
import inspect
import os
import typing
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed
from pydantic import BaseModel, TypeAdapter, ValidationError

from pneumo.data.files import write_whole
from pneumo.stages import code_version, stage_key

# What names the run and not the work: a finished stage is the same whichever run asks for it.
NOT_WORK = frozenset({"run_id", "parent_run", "home"})
P = ParamSpec("P")
Result = TypeVar("Result")
_found: ContextVar[bool] = ContextVar("found", default=False)


class Reused(Generic[P, Result]):
    """A Prefect task of a stage; `fn` is the stage without Prefect."""

    def __init__(self, fn: Callable[P, Result], name: str, run_name: str) -> None:
        self.fn = fn
        told = _cached_in_prefect(fn)
        self._task = task(name=name, task_run_name=run_name, cache_policy=NO_CACHE)(told)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run the task to its end; an error of the stage is raised here."""
        state: State[Result] = self._task(*args, **kwargs, return_state=True)
        return state.result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[Result]:
        """Hand the task to the flow's task runner."""
        future: PrefectFuture[Result] = self._task.submit(*args, **kwargs)
        return future


def reused(stage: str, *code: str, run_name: str | None = None) -> Callable[[Callable[P, Result]], Reused[P, Result]]:
    """A stage that is not done again while its parameters and the source of the named parts of pneumo are the same.

    In Prefect the task's state is then called Cached. The stage needs a parameter `home` and an annotated result.
    """

    def decorate(work: Callable[P, Result]) -> Reused[P, Result]:
        form: TypeAdapter[Result] = TypeAdapter(typing.get_type_hints(work)["return"])
        signature = inspect.signature(work)

        @functools.wraps(work)
        def found_or_done(*args: P.args, **kwargs: P.kwargs) -> Result:
            parameters = signature.bind(*args, **kwargs).arguments
            file = parameters["home"] / "cache" / "results" / f"{stage}-{key(stage, parameters, code)}.json"
            kept = read(file, form)
            if kept is None:
                kept = work(*args, **kwargs)
                write_whole(file, form.dump_json(kept))
                return kept
            _found.set(True)
            return kept

        return Reused(found_or_done, stage, run_name or stage)

    return decorate


def _cached_in_prefect(fn: Callable[P, Result]) -> Callable[P, Result]:
    """Tell Prefect that a result was found: a task that returns a state is shown in that state."""

    @functools.wraps(fn)
    def telling(*args: P.args, **kwargs: P.kwargs) -> Result:
        _found.set(False)
        result = fn(*args, **kwargs)
        return cast(Result, Completed(name="Cached", data=result)) if _found.get() else result

    return telling


def key(stage: str, parameters: dict[str, Any], code: tuple[str, ...]) -> str:
    """Digest of what a stage works on, and of its code."""
    work = {name: value for name, value in parameters.items() if name not in NOT_WORK}
    return stage_key(stage, work=work, code=code_version(*code))


def read(file: Path, form: TypeAdapter[Result]) -> Result | None:
    """A kept result; None if there is none, if an older version wrote it, or if house-keeping took what it names."""
    try:
        kept = form.validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    places = [file, *_paths(kept)]
    if not all(place.exists() for place in places):
        return None
    for place in places:
        _mark_used(place, file.parents[1])
    return kept


def _mark_used(place: Path, cache: Path) -> None:
    """House-keeping goes by the time of the last change; what lies outside the cache is not ours to touch."""
    if place.is_relative_to(cache):
        os.utime(place)


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for _, field in value:
            yield from _paths(field)
