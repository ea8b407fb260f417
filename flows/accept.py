"""Acceptance at a place: whether a version works on its labelled images, and with which operating point."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from pneumo.flow_parameters import Calibrate, Model, Prevalence
from tasks import acceptance, operations, pages
from tasks.support.naming import dated
from tasks.support.tracking import parent_run, tracker


@flow(name="pneumonia", flow_run_name=dated("accept"))
def accept(
    data: str,
    calibrate: Calibrate = None,
    prevalence: Prevalence = None,
    model: Model = None,
    synthetic: bool = False,
) -> State[Any]:
    """Measure a version at the place of its use, by the limits of promotion; a new operating point makes a new version.

    Args:
        data: Labelled images of the place: a folder, an archive, a label file, s3://bucket/prefix.
        calibrate: Number of them, drawn by patient, that fit offset, temperature and threshold; the others judge.
        prevalence: Share of pneumonia at the place, 0 to 1, to which probabilities are adjusted. Empty: the images'.
        model: models:/name/version or models:/name@alias. Empty: the champion.
        synthetic: Use the champion of the drawn images instead of real ones.
    """
    parameters = dict(locals())
    with operations.guard() as settings, parent_run(parameters, stage="accept") as run_id:
        pages.link(tracker().runs.url(run_id))
        found = acceptance.accept(data, calibrate, prevalence, model, synthetic, settings, run_id)
    registered = f" Registered {found.uri}." if found.version else ""
    return Completed(message=f"{found.reason}{registered} {found.advice}".rstrip())
