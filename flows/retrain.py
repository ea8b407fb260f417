"""The main job again, if there is a cause: on a schedule, or when `watch` asks for it."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from flows.train import train
from pneumo.operations.cause import Success, cause
from pneumo.settings import Settings
from tasks import data as data_tasks
from tasks import engine, operations, promotion
from tasks.naming import dated


@flow(name="pneumonia", flow_run_name=dated("retrain"), task_runner=engine.ONE_AT_A_TIME)
def retrain(data: str | None = None, force: bool = False) -> State[Any] | None:
    """Repeat the last successful run if data, parameters, settings or code have changed since.

    Args:
        data: Source. Empty: retrain.data of mlflow.yaml, or that of the last successful run.
        force: Train even if nothing has changed.
    """
    with operations.guard() as settings:
        operations.collapse(settings)
        if words := operations.collided(settings):
            return Cancelled(message=words)
        source = data or settings.retrain.data
        last = operations.last_success(source)
        if last is None and source is None:
            return Completed(message="Nothing to do: no run has succeeded yet whose parameters could be repeated.")
        why = cause(last, _digest(last, settings), settings) if last else "no run has succeeded yet"
        if last and not (why or force):
            return Completed(message=f"Nothing to do: data, parameters, settings and code are those of {last.name}.")
        operations.say(f"training again, because of: {why or 'force'}")
        train.fn(**(last.recipe if last else {"data": source}))
    return None


def _digest(last: Success, settings: Settings) -> str:
    """Digest of the data set that a run would train on now.

    The same files come to the same data set, unless settings or code have changed, and these are causes themselves: so
    the gate, which takes seconds, is only asked about others.
    """
    home, inventory = settings.home, data_tasks.ingest(last.recipe["data"], settings.home, settings.data)
    if inventory.key == last.inventory:
        return last.parts["cause.data"]
    reference = promotion.reference(settings, inventory.synthetic, home)
    report = data_tasks.validate(inventory, home, settings.gate, reference)
    return data_tasks.split(inventory, report, home).digest
