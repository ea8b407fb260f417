"""The main job again, if there is a cause: on a schedule, or when `watch` asks for it."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from flows.train import train
from pneumo.monitoring.retraining import RepeatableRun, is_cut_alike
from pneumo.records.data import Inventory
from pneumo.settings import Settings
from tasks import data as data_tasks
from tasks import operations, promotion
from tasks.support.naming import dated


@flow(name="pneumonia", flow_run_name=dated("retrain"))
def retrain(data: str | None = None, force: bool = False, recipe: dict[str, Any] | None = None) -> State[Any] | None:
    """Repeat the champion's run if data, parameters, settings or code have changed since.

    Args:
        data: Source. Empty: retrain.data of mlflow.yaml, or that of the champion's run.
        force: Train even if nothing has changed.
        recipe: Parameters of train that are set here; the others are those of the champion's run, of real images for
            real ones, or of drawn images for drawn ones.
    """
    with operations.guard() as settings:
        recipe = _checked(recipe or {})
        operations.collapse(settings)
        if words := operations.collided(settings):
            return Cancelled(message=words)
        source = recipe.get("data") or data or settings.retrain.data
        given = data_tasks.ingest(source, settings.home, settings.data) if source else None
        last = operations.model_run(settings, source, given)
        if last is None and source is None:
            return Completed(message="Nothing to do: no run has succeeded yet whose parameters could be repeated.")
        old = (last.recipe if last else {}) | ({"data": source} if source else {})
        parameters = operations.complete(old | recipe, train.fn)
        inventory = given or data_tasks.ingest(parameters["data"], settings.home, settings.data)
        why, tried = operations.due(last, _digest(last, inventory, settings), inventory, parameters, settings)
        if (tried or not why) and not force:
            return Completed(message=f"Nothing to do: {tried or 'nothing has changed'}.")
        operations.log_line(f"training again, because of: {why or 'force'}")
        train.fn(**parameters)
    return None


def _checked(recipe: dict[str, Any]) -> dict[str, Any]:
    """Parameters as `train` itself would take them; a misspelt one would silently be the default, for hours."""
    taken = train.validate_parameters(recipe)
    return {name: taken[name] for name in recipe}


def _digest(last: RepeatableRun | None, inventory: Inventory, settings: Settings) -> str:
    """Digest of the data set that a run would train on now.

    The same files give the same data set unless settings or code have changed. Only otherwise are the gate and the
    split run, which takes seconds.
    """
    if last and is_cut_alike(last, inventory.key, settings):
        return last.parts["cause.data"]
    home = settings.home
    reference = promotion.reference(settings, inventory.synthetic, home)
    report = data_tasks.validate(inventory, home, settings.gate, reference)
    return data_tasks.split(inventory, report, home).digest
