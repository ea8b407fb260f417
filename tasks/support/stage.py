"""Stages as Prefect tasks. `pneumo.cache` keeps their results, and Prefect shows as Cached those that were found.

Prefect's own cache is off: it would be a second cache, and its results are pickled.
"""

import functools
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed

from pneumo.cache import watching

P = ParamSpec("P")
Result = TypeVar("Result")


class Stage(Generic[P, Result]):
    """A Prefect task of a stage, shown as Cached if the stage found its result.

    `fn` is the stage without Prefect.
    """

    def __init__(self, fn: Callable[P, Result], name: str, run_name: str | None) -> None:
        self.fn = fn
        self._task = task(name=name, task_run_name=run_name or name, cache_policy=NO_CACHE)(_telling(fn))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run the task to its end; an error of the stage is raised here."""
        state: State[Result] = self._task(*args, **kwargs, return_state=True)
        return state.result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> PrefectFuture[Result]:
        """Submit the task to the flow's task runner."""
        future: PrefectFuture[Result] = self._task.submit(*args, **kwargs)
        return future


def stage(name: str, run_name: str | None = None) -> Callable[[Callable[P, Result]], Stage[P, Result]]:
    """Make a function a stage; a run name may hold parameters, such as "train {spec.name}"."""
    return lambda fn: Stage(fn, name, run_name)


def _telling(fn: Callable[P, Result]) -> Callable[P, Result]:
    """Return the state Cached if nothing was made: Prefect shows a task in the state that it returns."""

    @functools.wraps(fn)
    def telling(*args: P.args, **kwargs: P.kwargs) -> Result:
        with watching() as made:
            result = fn(*args, **kwargs)
        return result if made else cast(Result, Completed(name="Cached", data=result))

    return telling
