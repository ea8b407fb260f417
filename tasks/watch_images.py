"""The hourly check: what is new, how different it is, and whether to train again."""

from pathlib import Path

import pandas as pd
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from pneumo.data.quality.two_sample_test import numbers, sentences
from pneumo.monitoring import drift
from pneumo.monitoring.drift import Drift, LastRequest
from pneumo.operations.notification_texts import images_drifted
from pneumo.records.data import Inventory
from pneumo.registry.champion import champion, champion_manifest
from pneumo.settings import Settings
from tasks.support.notification_channels import notify
from tasks.support.tracking import tracker

DUE = "pneumo.retrain.due"
STAGE = "watch"


@task(name="look", task_run_name="look", cache_policy=NO_CACHE)
def examine(inventory: Inventory, settings: Settings) -> Drift | None:
    """Compare what is there now with the champion's data set; None without a champion."""
    found = champion(settings, inventory.synthetic)
    reference = champion_manifest(settings, inventory.synthetic, settings.home)
    if found is None or reference is None:
        return None
    now, then = pd.read_parquet(inventory.manifest), pd.read_parquet(reference)
    return drift.measure_drift(now, found.version, then, settings.watch.fewest)


@task(name="record", task_run_name="record", cache_policy=NO_CACHE)
def record(found: Drift, source: str, settings: Settings) -> list[str]:
    """Add a point to the source's series in MLflow, and ask for a retraining if there are reasons; returns them."""
    tracking, run_id = tracker(), series(source)
    tracking.log.metrics(run_id, _figures(found), step=len(tracking.runs.series(run_id, "images")))
    points = {name: tracking.runs.series(run_id, name) for name in found.figures}
    if points:
        tracking.log.figure(run_id, drift.plot(points, settings.watch.drift), "drift.png")
    before = LastRequest.read("announced", tracking.runs.tags(run_id).get("announced", "{}"))
    words, after = drift.reasons(found, before, settings.watch)
    if words:
        reason = "; ".join([*words, *origin(found)])
        ask_for_retraining(source, reason)
        if drift.is_news(before, after):
            notify(images_drifted(reason, tracking.runs.url(run_id)), settings)
        tracking.runs.set_tags(run_id, {"announced": after.model_dump_json()})
    return words


def origin(found: Drift) -> list[str]:
    """Sentences on whether the new images come from the place of the champion's training images."""
    return sentences(found.audit) if found.audit else []


def _figures(found: Drift) -> dict[str, float]:
    shift = numbers(found.audit) if found.audit else {}
    audited = {f"shift_audit/{name}": value for name, value in shift.items()}
    return {"images": found.images, "new_images": found.new, "new_share": found.share, **found.figures, **audited}


def series(source: str) -> str:
    """The MLflow run that holds a source's series; it is finished, and still gets new points."""
    tags = {"stage": STAGE, "data.source": source}
    if found := tracker().runs.newest(tags):
        return found[0].run_id
    run_id = tracker().runs.start(f"watch {Path(source).name or source}", tags=tags)
    tracker().runs.finish(run_id)
    return run_id


def ask_for_retraining(source: str, reason: str) -> None:
    """Emit the event by which `pneumonia/retrain` starts."""
    get_run_logger().info("asking for a retraining: %s", reason)
    emit_event(event=DUE, resource={"prefect.resource.id": "pneumo.source"}, payload={"source": source, "why": reason})
