"""A linear model on embeddings made elsewhere: a candidate like the others, trained in seconds."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.sources.embeddings import vectors_of
from pneumo.errors import TrainingError
from pneumo.evaluation.robustness.selection import auc
from pneumo.records.base import EMBEDDING
from pneumo.records.data import DatasetVersion, Vectors
from pneumo.records.model import Candidate
from pneumo.training.dataset_images import COLUMNS
from pneumo.training.networks.linear_head import fit_head
from pneumo.training.process.job import read, result_folder
from pneumo.training.process.progress import OnProgress, Progress, silent

if TYPE_CHECKING:
    import keras

CODE = ("training", "evaluation/robustness/selection.py", "data/sources/embeddings.py")


def train_linear(
    vectors: Vectors, version: DatasetVersion, run_id: str, home: Path, on_progress: OnProgress = silent
) -> Candidate:
    """Fit logistic regression on the embeddings of the training images; validation AUC chooses the regularisation.

    Its selection score stays None, because there are no images to which a simulated shift could be applied.

    Raises:
        TrainingError: a split lacks a class.
    """
    key = stage_key("linear", vectors=vectors.key, version=version.digest, code=code_version(*CODE))
    folder = result_folder(home, key)
    if not is_kept(folder):
        on_progress(Progress(name=vectors.candidate, stage="start"))
        candidate = _train(vectors, version, run_id, key, folder)
        figures = {"validation_auc": candidate.validation_auc, "minutes": candidate.minutes}
        on_progress(Progress(name=vectors.candidate, stage="done", metrics=figures))
    return read(folder, run_id)


def _train(vectors: Vectors, version: DatasetVersion, run_id: str, key: str, folder: Path) -> Candidate:
    begun = time.monotonic()
    rows = pd.read_parquet(version.manifest, columns=COLUMNS)
    features, targets = vectors_of(vectors.path, rows["sha256"]), (rows["label"] == "PNEUMONIA").to_numpy("float32")
    training, validation = (_of(rows, split) for split in ("train", "validation"))
    kernel, bias = fit_head(features[training], targets[training], features[validation], targets[validation])
    scored = rows["split"].isin(("validation", "test")).to_numpy()
    predictions = rows[scored].assign(logit=(features[scored] @ kernel + bias)[:, 0]).reset_index(drop=True)
    held_out = predictions["split"] == "validation"
    candidate = Candidate(
        name=vectors.candidate,
        key=key,
        run_id=run_id,
        model=folder / "model.keras",
        predictions=folder / "predictions.parquet",
        validation_auc=auc(targets[validation], predictions.loc[held_out, "logit"].to_numpy()),
        shifted_auc=None,
        selection_score=None,
        minutes=(time.monotonic() - begun) / 60,
    )
    with written_once(folder) as scratch:
        _network(kernel, bias).save(scratch / "model.keras")
        predictions.to_parquet(scratch / "predictions.parquet")
        (scratch / "history.json").write_text(json.dumps({"epochs": [], "shifts": {}}), encoding="utf-8")
        (scratch / "candidate.json").write_text(candidate.model_dump_json(indent=1), encoding="utf-8")
    return candidate


def _of(rows: pd.DataFrame, split: str) -> np.ndarray:
    chosen = (rows["split"] == split).to_numpy()
    if len(labels := set(rows.loc[chosen, "label"])) < 2:
        raise TrainingError(f"Expected both classes in split {split}, found {sorted(labels)}: give more images.")
    return np.flatnonzero(chosen)


def _network(kernel: np.ndarray, bias: np.ndarray) -> "keras.Model":
    """The model as one Dense layer: float32 (n, width) -> logit (n, 1)."""
    import keras

    embedding = keras.Input((len(kernel),), name=EMBEDDING)
    model = keras.Model(embedding, keras.layers.Dense(1, name="logit")(embedding), name="linear")
    model.set_weights([kernel, bias])
    return model
