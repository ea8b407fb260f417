"""Evaluation stage: figures from predictions, and the model as it would be served."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from pneumo.data.quality.two_sample_test import numbers, sentences
from pneumo.errors import WeightsError
from pneumo.evaluation import evaluate as evaluation
from pneumo.evaluation.external import validation
from pneumo.evaluation.external.verdict import TEST
from pneumo.evaluation.label_audit import audit as label_audit
from pneumo.evaluation.robustness import shift_audit
from pneumo.records.base import Cell
from pneumo.records.data import DatasetVersion, ImageStore, Inventory, ShiftAudit, Vectors
from pneumo.records.model import Candidate, Evaluation, External
from pneumo.registry.promotion.predictions import cells
from pneumo.settings.promotion import Promotion
from pneumo.training.candidates.spec import CandidateSpec
from tasks import pages
from tasks.support.naming import short
from tasks.support.tracking import tracker


# Not cached by Prefect, so that every flow run shows all its candidates in MLflow. The figures themselves are cached.
@task(name="evaluate", task_run_name="evaluate {candidate.name}", cache_policy=NO_CACHE)
def evaluate(
    candidate: Candidate,
    version: DatasetVersion,
    store: ImageStore | Vectors,
    settings: Promotion,
    home: Path,
    parent_run: str,
) -> Evaluation:
    """Measure a candidate, log figures and model to its MLflow run, and close that run."""
    result = evaluation.evaluate(candidate, version, store, settings, home)
    tracking, run_id = tracker(), candidate.run_id
    tracking.log.dataset(run_id, version)
    tracking.log.artifacts(run_id, result.bundle.with_name("figures"), "figures")
    tracking.log.artifact(run_id, result.predictions, "predictions")
    model_uri = tracking.bundles.log(run_id, result.bundle, candidate.name, _example(version, store))
    tracking.log.model_metrics(run_id, model_uri, _figures(result), version)
    for number, warning in enumerate(result.warnings, start=1):
        tracking.runs.set_tags(run_id, {f"warning.{number}": warning})
        get_run_logger().warning("%s: %s", candidate.name, warning)
    tracking.runs.finish(run_id)
    auc = result.test_auc
    get_run_logger().info("%s: ROC AUC %s on test", candidate.name, format(auc, ".4f"))
    return result.model_copy(update={"model_uri": model_uri, "run_id": run_id})


def evaluate_all(
    candidates: Sequence[tuple[Candidate, ImageStore | Vectors]],
    version: DatasetVersion,
    settings: Promotion,
    home: Path,
    parent_run: str,
) -> list[Evaluation]:
    """Evaluate candidates one after the other, each on images or embeddings as it takes them."""
    return [evaluate(candidate, version, source, settings, home, parent_run) for candidate, source in candidates]


def score_elsewhere(best: Evaluation, sets: list[Inventory], home: Path) -> list[External]:
    """Score the external sets; not with a model of embeddings, since they are images, as the card says."""
    if best.vectors and sets:
        get_run_logger().warning("%s takes embeddings: not measured on external sets", best.name)
    return [] if best.vectors else [score_external(best, inventory, home) for inventory in sets]


def _of_set() -> str:
    return f"external {short(task_run.parameters['inventory'].source)}"


@task(name="external", task_run_name=_of_set, cache_policy=NO_CACHE)
def score_external(best: Evaluation, inventory: Inventory, home: Path) -> External:
    """Score an external set with the candidate that is decided on; it is reported and decides nothing."""
    found = validation.evaluate_external(best, inventory, home)
    tracking, place = tracker(), f"external/{found.name}"
    numbers = {**found.metrics, "out_of_distribution": found.out_of_distribution, "unreadable": float(found.errors)}
    figures = {f"{place}/{name}": value for name, value in numbers.items()}
    tracking.log.model_metrics(best.run_id, best.model_uri, figures)
    tracking.log.artifacts(best.run_id, found.folder, place)
    tracking.runs.set_tags(best.run_id, {place: found.verdict})
    pages.external_set(found)
    return found


@task(name="shift audit", task_run_name="shift audit", cache_policy=NO_CACHE)
def audit_shift(
    spec: CandidateSpec,
    version: DatasetVersion,
    store: ImageStore,
    elsewhere: list[Inventory],
    home: Path,
    run_id: str,
) -> list[ShiftAudit]:
    """Test whether test images and external sets can be told from training images."""
    try:
        found = shift_audit.audit_run(spec, version, store, elsewhere, home)
    except WeightsError as error:  # on a cluster only its machines have them
        get_run_logger().warning("%s The audit looks at intensities instead.", error)
        found = shift_audit.audit_run(spec.model_copy(update={"weights": "none"}), version, store, elsewhere, home)
    tracking = tracker()
    for audit in found:
        place = "shift_audit" if audit.name == TEST else f"shift_audit/{audit.name}"
        tracking.log.metrics(run_id, {f"{place}/{name}": value for name, value in numbers(audit).items()})
        get_run_logger().info(" ".join(sentences(audit)))
    tracking.log.text(run_id, json.dumps([audit.model_dump() for audit in found], indent=1), "shift_audit.json")
    pages.shift_table(found)
    return list(found)


@task(name="label audit", task_run_name="label audit", cache_policy=NO_CACHE)
def audit_labels(
    spec: CandidateSpec, version: DatasetVersion, store: ImageStore, best: Evaluation, home: Path, run_id: str
) -> str:
    """List images whose label a person should look at, and say how many in one line; no label changes."""
    found = label_audit.audit_labels(spec, version, store, best, home)
    tracker().log.artifacts(run_id, found.folder, label_audit.FOLDER)
    tracker().log.metrics(run_id, {"label_audit/suspects": float(found.suspects)})
    words = label_audit.sentence(found)
    get_run_logger().info("%s Judged by %s.", words, found.source)
    return words


def _figures(result: Evaluation) -> dict[str, float]:
    """Every figure of a candidate, with those by which it is chosen or not."""
    score = {} if result.selection_score is None else {"selection_score": result.selection_score}
    return result.metrics | score | {"validation_auc": result.validation_auc, "minutes": result.minutes}


def _example(version: DatasetVersion, store: ImageStore | Vectors) -> Cell:
    """An image, or its embedding, that shows what the model takes."""
    first = pd.read_parquet(version.manifest, columns=["path", "sha256"]).head(1)
    return cells(first, version.root, store.path if isinstance(store, Vectors) else None)[0]
