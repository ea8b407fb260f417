"""Do a job: train a backbone or combine networks, and write the files of the candidate."""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd

from pneumo.cache import written_once
from pneumo.errors import TrainingError
from pneumo.evaluation.robustness.selection import auc_by_shift, selection_score, shifted_auc, validation_auc
from pneumo.records.base import SHIFTED
from pneumo.records.model import Candidate
from pneumo.training.networks import architecture
from pneumo.training.networks.ensemble import mean_logits
from pneumo.training.process.backbone import Trained, load_model, train_backbone
from pneumo.training.process.job import BackboneJob, EnsembleJob
from pneumo.training.process.progress import OnProgress, Progress


def perform(job: BackboneJob | EnsembleJob, report: OnProgress) -> Candidate:
    """Train, score and write a candidate; its folder appears only when it is complete."""
    begun = time.monotonic()
    report(Progress(name=job.name, stage="start"))
    trained = train_backbone(job, report) if isinstance(job, BackboneJob) else _combined(job)
    members: tuple[Candidate, ...] = getattr(job, "members", ())
    own = [member for member in members if member.name == job.name]
    minutes = (time.monotonic() - begun) / 60 + sum(member.minutes for member in own)
    candidate = _write(job, trained, minutes, len(own) or _folds(members))
    report(Progress(name=job.name, stage="done", metrics=figures(candidate)))
    return candidate


def figures(candidate: Candidate) -> dict[str, float]:
    """A candidate's figures by name."""
    return {name: getattr(candidate, name) for name in ("validation_auc", "shifted_auc", "selection_score", "minutes")}


def _combined(job: EnsembleJob) -> Trained:
    """The mean of networks; its scores are the mean of theirs, so nothing is computed again."""
    models = {f"{member.name} {number}": load_model(member.model) for number, member in enumerate(job.members, start=1)}

    def mean(name: str) -> pd.DataFrame:
        return mean_logits([pd.read_parquet(member.model.with_name(name)) for member in job.members])

    return Trained(architecture.combine(models), mean("predictions.parquet"), mean(SHIFTED), [])


def _folds(members: tuple[Candidate, ...]) -> int:
    """Folds of the candidates that are combined, which must have the same: each fold holds out other patients."""
    found = sorted({member.folds for member in members})
    if len(found) > 1:
        raise TrainingError(f"Expected candidates of as many folds to combine, got {found}: train them alike.")
    return found[0] if found else 1


def _write(job: BackboneJob | EnsembleJob, trained: Trained, minutes: float, folds: int) -> Candidate:
    if not (np.isfinite(trained.predictions["logit"]).all() and np.isfinite(trained.shifted["logit"]).all()):
        raise TrainingError(f"Expected finite logits of {job.name}, got NaN or infinity: lower the learning rate.")
    validation, together = validation_auc(trained.predictions), shifted_auc(trained.shifted)
    candidate = Candidate(
        name=job.name,
        key=job.key,
        run_id=job.run_id,
        model=job.folder / "model.keras",
        predictions=job.folder / "predictions.parquet",
        validation_auc=validation,
        shifted_auc=together,
        selection_score=selection_score(validation, together),
        minutes=minutes,
        folds=folds,
    )
    facts = {"epochs": trained.history, "shifts": auc_by_shift(trained.shifted), "peak_memory_gib": _peak_memory()}
    with written_once(job.folder) as folder:
        trained.model.save(folder / "model.keras")
        trained.predictions.to_parquet(folder / "predictions.parquet")
        trained.shifted.to_parquet(folder / SHIFTED)
        (folder / "history.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        (folder / "candidate.json").write_text(candidate.model_dump_json(indent=1), encoding="utf-8")
    return candidate


def _peak_memory() -> float:
    unit = 2**30 if sys.platform == "darwin" else 2**20  # Linux counts in KiB
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 2)
