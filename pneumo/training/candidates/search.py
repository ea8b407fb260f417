"""Search for better settings with Optuna; each trial is a training like any other, so a finished one is reused."""

import json
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.store.decoded_rows import DECODING
from pneumo.errors import PneumoError
from pneumo.records.base import Fit
from pneumo.records.data import DatasetVersion
from pneumo.training.candidates.candidate import CODE
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.networks.pretrained_weights import identity
from pneumo.training.process.progress import OnProgress, Progress

SEARCHED = ("learning_rate", "freeze", "augmentation", "size")
SIZES = (0.5, 0.75, 1.0, 1.25)  # of the usual size
FOUND = "found.json"
STARTUP_TRIALS = 3  # finished trials before a bad one is pruned
Train = Callable[[int, CandidateSpec, OnProgress], float]


def search(spec: CandidateSpec, minutes: float, train: Train) -> CandidateSpec:
    """The settings of the best trial; the first trial has those of `spec`, which stay if none is better.

    A trial is pruned when after an epoch it is worse than the median of the others, when it fails, and when time is up.

    Args:
        minutes: length of the search.
        train: trains a spec as trial number n and returns its selection score.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    deadline = time.monotonic() + 60 * minutes
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=spec.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    study.enqueue_trial({name: getattr(spec, name) for name in SEARCHED})

    def objective(trial: Any) -> float:
        try:
            return train(trial.number, suggested(spec, trial), watched(trial, deadline))
        except PneumoError as error:
            if trial.number == 0:
                study.stop()  # even the usual settings failed: their own training will say why
            raise optuna.TrialPruned(str(error)) from error

    study.optimize(objective, timeout=60 * minutes)
    finished = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    return spec.model_copy(update=study.best_params) if finished else spec


def search_once(
    spec: CandidateSpec, minutes: float, version: DatasetVersion, fit: Fit, home: Path, train: Train
) -> CandidateSpec:
    """`search`, or at once its earlier result for the same settings, weights (at every size), data, code and libraries.

    Writes `<home>/cache/search/<key>/found.json`.

    Raises:
        WeightsError: the pretrained weights cannot be found or fetched.
    """
    key = stage_key(
        "search",
        spec=spec.model_dump(mode="json", exclude={"weights"}),
        weights=identities(spec, home),
        minutes=minutes,
        version=version.digest,
        fit=fit,
        code=code_version(*CODE, *DECODING),
        optuna=installed("optuna"),
    )
    folder = home / "cache" / "search" / key
    if not is_kept(folder):
        found = search(spec, minutes, train)
        with written_once(folder) as scratch:
            (scratch / FOUND).write_text(found.model_dump_json(include=set(SEARCHED), indent=1), encoding="utf-8")
    return spec.model_copy(update=json.loads((folder / FOUND).read_bytes()))


def with_searched(specs: Sequence[CandidateSpec], found: CandidateSpec) -> tuple[CandidateSpec, ...]:
    """Specs with the searched settings as they were found."""
    return tuple(spec.model_copy(update={name: getattr(found, name) for name in SEARCHED}) for spec in specs)


def sizes(spec: CandidateSpec) -> list[int]:
    """Sizes that a search tries, pixels a side, ascending."""
    return sorted({spec.size, *(max(32, round(spec.size * share / 32) * 32) for share in SIZES)})


def identities(spec: CandidateSpec, home: Path) -> list[str]:
    """Identity of the pretrained weights at each of the `sizes`: another size may have a file of its own.

    Raises:
        WeightsError: the pretrained weights cannot be found or fetched.
    """
    return [identity(spec.model_copy(update={"size": size}), home) for size in sizes(spec)]


def suggested(spec: CandidateSpec, trial: Any) -> CandidateSpec:
    """A spec with the settings that an Optuna trial suggests."""
    return spec.model_copy(
        update={
            "learning_rate": trial.suggest_float("learning_rate", 3e-5, 3e-3, log=True),
            "freeze": trial.suggest_float("freeze", 0, 0.9),
            "augmentation": trial.suggest_float("augmentation", 0, 2),
            "size": trial.suggest_categorical("size", sizes(spec)),
        }
    )


def watched(trial: Any, deadline: float) -> OnProgress:
    """Report the score of each epoch to Optuna; raises TrialPruned when the trial is not worth more time."""
    import optuna

    def follow(event: Progress) -> None:
        if "score" in event.metrics:
            trial.report(event.metrics["score"], event.epoch)
        if trial.should_prune() or time.monotonic() > deadline:
            raise optuna.TrialPruned

    return follow
