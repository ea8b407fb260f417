"""What a training process is to do, and where it writes its results."""

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
    """What all jobs have: the candidate's name, its key, the data, and its MLflow run."""

    name: str
    key: str
    version: DatasetVersion
    store: ImageStore
    run_id: str
    home: Path

    @property
    def folder(self) -> Path:
        """Folder of the result."""
        return result_folder(self.home, self.key)

    @property
    def checkpoint(self) -> Path:
        """File of the checkpoint of an unfinished training."""
        return checkpoint_file(self.home, self.key)


class BackboneJob(Job):
    """Train a backbone; with a `fold`, that part of the patients is held out, else the validation split."""

    kind: Literal["backbone"] = "backbone"
    spec: CandidateSpec
    fold: Fold | None = None


class EnsembleJob(Job):
    """Combine finished networks to one. Members of the same name are its folds, and their minutes count as its own."""

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[Candidate, ...]


AnyJob = Annotated[BackboneJob | EnsembleJob, Field(discriminator="kind")]


def result_folder(home: Path, key: str) -> Path:
    """Folder of a finished training with this key."""
    return home / "cache" / "train" / key


def checkpoint_file(home: Path, key: str) -> Path:
    """Checkpoint of an unfinished training with this key."""
    return home / "checkpoints" / key / "checkpoint.npz"


def read(folder: Path, run_id: str) -> Candidate:
    """Read a finished candidate, as one of the MLflow run `run_id`."""
    stored = Candidate.model_validate_json((folder / "candidate.json").read_text(encoding="utf-8"))
    places = {"model": folder / "model.keras", "predictions": folder / "predictions.parquet"}
    return stored.model_copy(update={"run_id": run_id, **places})
