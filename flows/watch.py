"""An hourly check of the source and of the answers: what has changed, and whether that calls for a retraining."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks import data as data_tasks
from tasks import operations, watch_answers, watch_images
from tasks.support.naming import dated


@flow(name="pneumonia", flow_run_name=dated("watch"))
def watch(data: str | None = None) -> State[Any]:
    """Count new images, measure drift and the champion's answers, and ask for a retraining beyond a limit.

    Args:
        data: Source. Empty: retrain.data of mlflow.yaml, or that of the last successful run.
    """
    with operations.guard() as settings:
        operations.collapse(settings)
        source = data or settings.retrain.data or operations.usual_source(settings)
        if source is None:
            return Completed(message="Nothing to watch: no run has succeeded yet, and retrain.data is empty.")
        inventory = data_tasks.ingest(source, settings.home, settings.data)
        found = watch_images.examine(inventory, settings)
        if found is None:
            return Completed(message="Nothing to compare with: there is no champion yet.")
        words = watch_images.record(found, source, settings)
        words += watch_answers.judge(source, inventory.synthetic, found.champion, settings)
        reasons = f"{'; '.join(words) or 'No reason to train again'}."
        return Completed(message=" ".join([f"{found.new} new images. {reasons}", *watch_images.origin(found)]))
