"""Kill everything at every stage, and compare the champion with that of an undisturbed run: `make kill-test`.

Each point starts from a standing champion and no caches, runs one training, kills at a moment that files show, brings
the machine back as `pneumo up` does, runs the same training again where it has died, and looks at the champion's
weights, at what was left open, and at a poller that has asked for the champion all the time.
PNEUMO_KILLS chooses points by a part of their names; PNEUMO_OUTAGE sets the length of an outage in seconds.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._site import MissedError, Poller, Site, weights_of
from pneumo.settings.promotion import Registry

ON_REQUEST = True  # too long for `make bench` without names
MODEL = Registry().phantom_model
SMALL = {
    "backbones": ["MobileNet:0.25"], "weights": "none", "epochs": 2, "image_size": 32, "augmentation": 0,
    "ensemble": False,
}  # fmt: skip
FIRST = {"data": "phantom:176", **SMALL}
SECOND = {"data": "phantom:160", "seed": 7, **SMALL}
TRIES = 3  # to be there at the moment of a point
OUTAGE = float(os.environ.get("PNEUMO_OUTAGE", "60"))


@dataclass(frozen=True)
class Point:
    """When to kill whom; `outage` is how long the dead stay dead."""

    name: str
    when: Callable[[Site], bool]
    who: tuple[str, ...]
    outage: float = 0.0


def seen(*patterns: str) -> Callable[[Site], bool]:
    """A path like one of these is in the state folder."""
    return lambda site: any(site.has(pattern) for pattern in patterns)


def finished(stage: str, number: int) -> Callable[[Site], bool]:
    """So many results of a stage are complete."""
    return lambda site: len(list(site.home.glob(f"cache/{stage}/[!.]*/"))) >= number


def promoting(site: Site) -> bool:
    """The new version is registered and has perhaps not yet the champion's alias."""
    return len(site.tracker().registry.versions(MODEL)) > 1


EPOCH = seen("checkpoints/*/checkpoint.npz")
EVERYTHING = ("flow", "worker", "prefect", "mlflow")
POINTS = (
    Point("flow, while images are drawn", seen("cache/phantom/.*"), ("flow",)),
    Point("Prefect, while images are drawn", seen("cache/phantom/.*"), ("prefect",)),
    Point("flow, in validate", seen("cache/validate/.*"), ("flow",)),
    Point("MLflow, in validate", seen("cache/validate/.*"), ("mlflow",)),
    Point("flow, validate done", finished("validate", 1), ("flow",)),
    Point("training, before the first epoch", seen("logs/train-*.log"), ("training",)),
    Point("training, after an epoch", EPOCH, ("training",)),
    Point("flow, after an epoch", EPOCH, ("flow",)),
    Point("worker, after an epoch", EPOCH, ("worker",)),
    Point("Prefect, after an epoch", EPOCH, ("prefect",), OUTAGE),
    Point("MLflow, after an epoch", EPOCH, ("mlflow",), OUTAGE),
    Point("everything, after an epoch", EPOCH, EVERYTHING),
    Point("flow, in evaluate", seen("cache/evaluate/.*"), ("flow",)),
    Point("Prefect, in evaluate", seen("cache/evaluate/.*"), ("prefect",)),
    Point("MLflow, in evaluate", seen("cache/evaluate/.*"), ("mlflow",)),
    Point("flow, in promote", promoting, ("flow",)),
    Point("MLflow, in promote", promoting, ("mlflow",)),
    Point("everything, in promote", promoting, EVERYTHING),
    Point("worker and flow, in promote", promoting, ("worker", "flow")),
    Point("flow, ingest done", seen("cache/ingest/[!.]*"), ("flow",)),
    Point("flow, training done", finished("train", 1), ("flow",)),
)


def rows(names: str | None = None) -> list[dict[str, Any]]:
    """A row per point: the outcome, and the seconds until all was well again; a moment that was missed says so."""
    wanted = names if names is not None else os.environ.get("PNEUMO_KILLS", "")
    points = [point for point in POINTS if wanted in point.name]
    folder = Path(tempfile.mkdtemp(prefix="pneumo-kills-"))
    site = Site(folder)
    try:
        site.up()
        _completed(site, FIRST)
        assert site.tracker().registry.alias(MODEL, Registry().champion) == "1"
        truth = _undisturbed(site)
        return [_row(point, site, truth) for point in points]
    finally:
        site.down()
        shutil.rmtree(folder)


def _row(point: Point, site: Site, truth: str) -> dict[str, Any]:
    try:
        found = disturb(point, site, truth)
    except MissedError as missed:
        return {"name": point.name, "value": "missed", "note": str(missed)}
    print(f"{point.name}: {found}", flush=True)
    return {"name": point.name, "value": found["whole"], "unit": "s", "note": ", ".join(found["words"])}


def disturb(point: Point, site: Site, truth: str) -> dict[str, Any]:
    """One point; `whole` is the seconds from the kill until servers and worker run and nothing dead is open."""
    reset(site)
    with Poller(site, MODEL) as poller:
        run_id = _arrive(point, site)
        kept = _finished(site)
        pids = site.kill(*point.who)
        killed = time.monotonic()
        time.sleep(point.outage)
        site.up()
        if "flow" in point.who:
            _closed(site, run_id)
        whole = time.monotonic() - killed
        run = site.wait(run_id)
        if run["state_type"] != "COMPLETED":
            _completed(site, SECOND)
        seconds = time.monotonic() - killed
    champion = site.tracker().registry.alias(MODEL, Registry().champion) or ""
    words = [
        f"{point.who[0] if len(point.who) == 1 else 'all'} killed: run {run['state_name']}",
        "same weights" if _weights(site, champion) == truth else "OTHER WEIGHTS",
        "nothing done twice" if kept.items() <= _finished(site).items() else "DONE TWICE",
        f"champion after {seconds:.0f} s",
        f"{len(site.open_runs()) + len(site.strays())} left open",
        f"{poller.polls} polls, {len(poller.failures)} failed, {poller.unanswered} without server",
    ]
    assert pids, f"nobody to kill at {point.name}"
    return {"whole": whole, "words": words, "failures": poller.failures}


def _arrive(point: Point, site: Site) -> str:
    """Start the run and wait for the moment; a busy machine can look away for longer than it lasts, so try again."""
    for _ in range(TRIES):
        run_id = site.start("train", **SECOND)
        with suppress(MissedError):
            site.wait_for(point.when, run_id)
            return run_id
        reset(site)
    raise MissedError(f"{point.name}: the moment was missed {TRIES} times")


def reset(site: Site) -> None:
    """The first champion stands, and nothing of the second run is known: no caches, no checkpoints, no version."""
    tracker = site.tracker()
    tracker.registry.set_alias(MODEL, Registry().champion, "1")
    for alias in (Registry().challenger, Registry().previous):
        tracker.registry.delete_alias(MODEL, alias)
    for version in tracker.registry.versions(MODEL):
        if version.version != "1":
            tracker.registry.delete_version(MODEL, version.version)
    for folder in ("cache", "checkpoints", "logs"):
        shutil.rmtree(site.home / folder, ignore_errors=True)


def _undisturbed(site: Site) -> str:
    """Digest of the champion's weights after a run that nobody disturbs."""
    reset(site)
    _completed(site, SECOND)
    tracker = site.tracker()
    version = tracker.registry.alias(MODEL, Registry().champion)
    assert version not in (None, "1"), "the second run is to win"
    return _weights(site, version or "")


def _weights(site: Site, version: str) -> str:
    """Digest of a version's weights; the poller may not have seen a champion of the last half second."""
    return weights_of(site.tracker(), f"models:/{MODEL}/{version}")


def _completed(site: Site, parameters: dict[str, Any]) -> None:
    run = site.wait(site.start("train", **parameters))
    assert run["state_type"] == "COMPLETED", run["state"]


def _closed(site: Site, run_id: str) -> None:
    """Wait until the run whose process is dead is closed on both servers; `pneumo up` has just run."""
    site.wait(run_id)
    deadline = time.monotonic() + 120
    while site.tracker().runs.unfinished({"prefect.flow_run_id": run_id}):
        assert time.monotonic() < deadline, "MLflow's runs are still open two minutes later"
        time.sleep(1)
        site.up()


def _finished(site: Site) -> dict[str, float]:
    """Results that are complete, by when they were written."""
    files = site.home.glob("cache/train/[!.]*/candidate.json")
    return {file.parent.name: file.stat().st_mtime for file in files}
