"""Batch prediction: X-rays in, a table of probabilities out, and a record of which version scored what."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from pneumo.flow_parameters import Model, Out, Paths, Threshold
from pneumo.serving.results.send_back import require_archive
from tasks import operations, pages, serving
from tasks.support.naming import dated
from tasks.support.tracking import parent_run, tracker


@flow(name="pneumonia-predict", flow_run_name=dated("predict"))
def predict(
    paths: Paths,
    out: Out = None,
    model: Model = None,
    threshold: Threshold = None,
    synthetic: bool = False,
    send_back: bool = False,
) -> State[Any]:
    """Score every image; a run that was cut off continues when it is run again with the same table.

    Args:
        paths: Image files, folders (searched below), s3://bucket/prefix, dicomweb://host/path?StudyDate=20260101.
        out: Table to write, .csv or .parquet, also s3://bucket/key. Empty: predictions.csv in the run's own folder.
        model: models:/name/version or models:/name@alias. Empty: the champion.
        threshold: Probability, 0 to 1, from which on the label is PNEUMONIA. Empty: the model's own.
        synthetic: Use the champion of the drawn images instead of real ones.
        send_back: Store a structured report and a heat map of each image in the archive that it came from.
    """
    parameters = {
        "places": len(paths),
        "model": model,
        "threshold": threshold,
        "synthetic": synthetic,
        "send_back": send_back,
    }
    with operations.guard() as settings, parent_run(parameters, stage="predict", private=True) as run_id:
        table = out or str(settings.home / "runs" / str(flow_run.id) / "predictions.csv")
        pages.link(tracker().runs.url(run_id))
        if send_back:
            require_archive(paths)
        version = serving.version_of(model, synthetic, settings)
        done = serving.predict(paths, table, version, threshold, settings, run_id)
        sent = serving.send_back(done, version, threshold, settings, run_id) if send_back else None
    told = f", {sent.sent} sent back" if sent else ""
    return Completed(
        message=f"{done.images} images, {done.positive} PNEUMONIA, {done.errors} unreadable{told}: {done.out}"
    )
