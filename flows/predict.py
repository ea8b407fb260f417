"""Batch prediction: X-rays in, a table of probabilities out, and a record of which version scored what."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from pneumo.form import Model, Out, Paths, Threshold
from tasks import operations, pages, serving
from tasks.support.naming import dated
from tasks.support.tracking import parent_run, tracker


@flow(name="pneumonia-predict", flow_run_name=dated("predict"))
def predict(
    paths: Paths, out: Out = None, model: Model = None, threshold: Threshold = None, synthetic: bool = False
) -> State[Any]:
    """Score every image; a run that was cut off goes on when it is run again with the same table.

    Args:
        paths: Image files, folders (searched below), s3://bucket/prefix.
        out: Table to write, .csv or .parquet, also s3://bucket/key. Empty: predictions.csv in the run's own folder.
        model: models:/name/version or models:/name@alias. Empty: the champion.
        threshold: From which probability on the label is PNEUMONIA, 0 to 1. Empty: the model's own.
        synthetic: The champion of the drawn images instead of real ones.
    """
    parameters = {"places": len(paths), "model": model, "threshold": threshold, "synthetic": synthetic}
    with operations.guard() as settings, parent_run(parameters, stage="predict", private=True) as run_id:
        table = out or str(settings.home / "runs" / str(flow_run.id) / "predictions.csv")
        pages.link(tracker().runs.url(run_id))
        done = serving.predict(paths, table, model, threshold, synthetic, settings, run_id)
    return Completed(message=f"{done.images} images, {done.positive} PNEUMONIA, {done.errors} unreadable: {done.out}")
