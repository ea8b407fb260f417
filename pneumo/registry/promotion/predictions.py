"""Probabilities of a version for test images: from the images, their embeddings, or those kept at registration."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.sources.embeddings import vectors_of
from pneumo.evaluation.statistics.calibration import probability
from pneumo.records.base import IMAGE, Cell
from pneumo.registry.promotion import version_evidence
from pneumo.tracking import ModelVersion

Floats = NDArray[np.float64]
SAME = 1e-3  # of a probability: for the same embeddings made again
Ask = Callable[[list[Cell]], Floats]
Given = Mapping[str, Path]  # this run's embeddings by name; see `pneumo.records.data.Vectors`


def cells(rows: pd.DataFrame, root: Path, vectors: Path | None) -> list[Cell]:
    """Inputs for a model, one cell for each row: image files, or embeddings."""
    if vectors is None:
        return [root / path for path in rows["path"]]
    return [vector.tolist() for vector in vectors_of(vectors, rows["sha256"])]


def takes_embeddings(found: ModelVersion) -> bool:
    """Whether a version takes embeddings."""
    return found.tags.get(version_evidence.INPUT, IMAGE) != IMAGE


def of_embeddings(
    champion: ModelVersion, rows: pd.DataFrame, given: Given, kept: "pd.Series[float]", ask: Ask
) -> Floats | str:
    """Probabilities of a champion that takes embeddings, or the reason why there are none.

    They are those kept at registration. Other images are scored if this run was given the same embeddings.

    Args:
        champion: the version.
        rows: the images.
        given: this run's embeddings.
        kept: its probabilities by sha256, from its registration.
        ask: gives its probabilities for embeddings, one for each row.
    """
    known: Floats = np.array(rows["sha256"].map(kept), np.float64)
    new, name = np.isnan(known), champion.tags.get("candidate", "")
    if not new.any():
        return known
    version = f"version {champion.version} takes embeddings ({name})"
    if name not in given:
        return f"{version}, and {new.sum()} of {len(rows)} images have none: give its file to the run (`embeddings`)"
    asked = ask(cells(rows, Path(), given[name]))
    if new.all() or np.abs(asked - known)[~new].max() > SAME:
        return f"{version}, and those of this run may be of another model: make them in the same way"
    return asked


def kept_probabilities(folder: Path, champion: ModelVersion) -> "pd.Series[float]":
    """Probabilities of the test images by sha256, from the folder that `version_evidence.keep` logged for a version."""
    rows = pd.read_parquet(folder / version_evidence.PREDICTIONS).query("split == 'test'").drop_duplicates("sha256")
    temperature, offset = float(champion.tags["temperature"]), float(champion.tags["offset"])
    return pd.Series(probability(rows["logit"], temperature, offset), index=rows["sha256"])
