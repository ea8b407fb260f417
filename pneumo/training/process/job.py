"""What a training process is told to do, and where it leaves what."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pneumo.records.base import SHIFTED, Record
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Fold

FILES = ("model.keras", "predictions.parquet", SHIFTED, "history.json", "candidate.json")


class Job(Record):
    """What all jobs have: the candidate's name, its key, the data, and the MLflow run that it is recorded under."""

    name: str
    key: str
    version: DatasetVersion
    store: ImageStore
    run_id: str
    home: Path

    @property
    def folder(self) -> Path:
        """Where the result lies."""
        return result_folder(self.home, self.key)

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished training is kept."""
        return checkpoint_file(self.home, self.key)


class BackboneJob(Job):
    """Train a backbone; with a `fold` without that part of the patients, else without the validation split."""

    kind: Literal["backbone"] = "backbone"
    spec: CandidateSpec
    fold: Fold | None = None


class EnsembleJob(Job):
    """Make one network of finished ones. Members of its own name are folds of it: their minutes count as its own."""

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[Candidate, ...]


AnyJob = Annotated[BackboneJob | EnsembleJob, Field(discriminator="kind")]


def result_folder(home: Path, key: str) -> Path:
    """Where a finished training with this key lies."""
    return home / "cache" / "train" / key


def checkpoint_file(home: Path, key: str) -> Path:
    """Where an unfinished training with this key is kept."""
    return home / "checkpoints" / key / "checkpoint.npz"


def read(folder: Path, run_id: str) -> Candidate:
    """A finished candidate as the result of another run."""
    stored = Candidate.model_validate_json((folder / "candidate.json").read_text(encoding="utf-8"))
    places = {"model": folder / "model.keras", "predictions": folder / "predictions.parquet"}
    return stored.model_copy(update={"run_id": run_id, **places})
