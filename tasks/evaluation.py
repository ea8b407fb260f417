"""Evaluation stage: figures from predictions, and the model as it would be served."""

from pathlib import Path

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from pneumo.evaluation import evaluate as evaluation
from pneumo.settings import Promotion
from pneumo.stages import Candidate, DatasetVersion, Evaluation, ImageStore
from tasks.tracking import adopt, tracker


# Not cached by Prefect: every flow run shows all its candidates below its own MLflow run. The figures themselves are.
@task(name="evaluate", task_run_name="evaluate {candidate.name}", cache_policy=NO_CACHE)
def evaluate(
    candidate: Candidate, version: DatasetVersion, store: ImageStore, settings: Promotion, home: Path, parent_run: str
) -> Evaluation:
    """Measure a candidate, log figures and model to its MLflow run, and close that run."""
    candidate = adopt(candidate, parent_run)
    result = evaluation.evaluate(candidate, version, store, settings, home)
    log, run_id = tracker(), candidate.run_id
    log.log_dataset(run_id, version)
    log.log_metrics(run_id, result.metrics)
    log.log_artifacts(run_id, result.bundle.with_name("figures"), "figures")
    log.log_artifact(run_id, result.predictions, "predictions")
    model_uri = log.log_bundle(run_id, result.bundle, candidate.name, _example(version))
    log.finish(run_id)
    return result.model_copy(update={"model_uri": model_uri, "run_id": run_id})


def _example(version: DatasetVersion) -> Path:
    """An image that shows what the model takes."""
    paths = pd.read_parquet(version.manifest, columns=["path"])["path"]
    return version.root / str(paths.iloc[0])
