"""Old files, runs and versions for house-keeping to look at."""

import os
import time
import uuid
from pathlib import Path

import pytest

from pneumo.operations.retention import tracked
from pneumo.settings.promotion import Registry
from pneumo.settings.unattended import Retention

DAY = 86_400
LIMITS = Retention(days=10, runs=1, log_mb=0.001)


def aged(path: Path, days: float, content: str = "x") -> Path:
    """A file, or a folder with one, that was last changed so long ago."""
    file = path if path.suffix else path / "content"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    for place in (file, path):
        then = time.time() - days * DAY
        os.utime(place, (then, then))
    return path


def names(removals):
    return {item.name for item, _ in removals}


def evaluated(tracker, name, age_days, monkeypatch):
    """A pipeline run with a child whose model is registered, as old as is said; returns the version."""
    then = time.time() - age_days * DAY
    parent = tracker.runs.start("pipeline", tags={"stage": "pipeline"})
    child = tracker.runs.start("candidate", parent=parent)
    tracker.log.text(child, "figures", "figures/roc.txt")
    model = tracker.client.create_logged_model(tracker.runs.experiment_id, "m", child)
    tracker.client.finalize_logged_model(model.model_id, "READY")
    tags = {"pneumo.key": uuid.uuid4().hex, "pipeline.run": parent, "dataset.digest": uuid.uuid4().hex}
    version = tracker.registry.register(f"models:/{model.model_id}", name, tags=tags)
    for run in (child, parent):
        tracker.runs.finish(run)
    return version, parent, child, then


@pytest.fixture
def registered(settings, tracker, monkeypatch):
    """Five versions of one model, all of them old: 1 and 2 are unneeded, 3 is before the champion, 5 the newest."""
    name = f"model-{uuid.uuid4().hex[:8]}"
    settings = settings.model_copy(
        update={"registry": Registry(model=name, phantom_model=f"{name}-phantom"), "retention": LIMITS}
    )
    made = [evaluated(tracker, name, 99, monkeypatch) for _ in range(5)]
    tracker.registry.set_alias(name, "champion", "4")
    monkeypatch.setattr(tracked.time, "time", lambda now=time.time: now() + 99 * DAY)
    return settings, name, made
