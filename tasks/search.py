"""The search for better settings, as one task with an MLflow run per trial."""

from pathlib import Path

from pneumo.data.store.image_store import decode_all
from pneumo.errors import PneumoError
from pneumo.records.base import Fit
from pneumo.records.data import DatasetVersion
from pneumo.training.candidates import candidate as candidates
from pneumo.training.candidates import search as searching
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.process.progress import OnProgress, Progress
from tasks.support.stage import stage
from tasks.support.tracking import start_child, tracker


@stage("search")
def search(
    spec: CandidateSpec, minutes: float, version: DatasetVersion, fit: Fit, home: Path, parent_run: str
) -> CandidateSpec:
    """Settings that did best on validation within a budget of minutes, on this machine."""
    import optuna

    def trial(number: int, proposed: CandidateSpec, watch: OnProgress) -> float:
        name = f"trial {number} of {spec.name}"
        run_id = start_child(parent_run, name, proposed.model_dump(mode="json", exclude={"backbone"}))
        follow = _both(watch, run_id)
        try:
            store = decode_all(version, home, proposed.size, fit)
            score = candidates.train(proposed, version, store, run_id, home, follow).selection_score
        except optuna.TrialPruned:
            tracker().runs.finish(run_id, "KILLED", "pruned: worse than the others, or out of time")
            raise
        except PneumoError as error:
            tracker().runs.finish(run_id, "FAILED", str(error))
            raise
        assert score is not None  # noqa: S101 - a backbone sees images
        tracker().log.metrics(run_id, {"selection_score": score})
        tracker().runs.finish(run_id)
        return score

    return searching.search_once(spec, minutes, version, fit, home, trial)


def _both(watch: OnProgress, run_id: str) -> OnProgress:
    """Log the figures of an event, then let the search decide whether to go on."""

    def follow(event: Progress) -> None:
        if event.metrics:
            tracker().log.metrics(run_id, event.metrics, step=event.epoch)
        watch(event)

    return follow
