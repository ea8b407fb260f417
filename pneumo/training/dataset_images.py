"""The images of a dataset version in training: a table of rows and a memory map of pixels."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyarrow import parquet

from pneumo.data.splits import groups
from pneumo.errors import TrainingError
from pneumo.records.base import Record
from pneumo.records.data import DatasetVersion, ImageStore

BATCH = 64
COLUMNS = ["path", "sha256", "patient", "label", "subtype", "split"]
PICTURES = ("pixels", "phash")


class Fold(Record):
    """Part `number` (from 0) of `count` parts of the patients outside the test set."""

    number: int
    count: int


@dataclass(frozen=True)
class Images:
    """Rows of the manifest and, in the same order, pixels, uint8 (n, size, size), read from disk when needed."""

    rows: pd.DataFrame
    pixels: np.ndarray

    def of(self, split: str) -> np.ndarray:
        """Positions of a split's images, int64."""
        return np.flatnonzero(self.rows["split"].to_numpy() == split)

    def targets(self, positions: np.ndarray) -> np.ndarray:
        """Targets of images, float32 (n,): 1 for pneumonia, 0 for normal."""
        return np.asarray(self.rows["label"].to_numpy()[positions] == "PNEUMONIA", "float32")

    def viral(self, positions: np.ndarray) -> np.ndarray:
        """Whether pneumonias are viral, float32 (n,): 1 for viral, 0 for bacterial, NaN where it is not known."""
        known = {"virus": 1.0, "bacteria": 0.0}
        return self.rows["subtype"].iloc[positions].map(known).to_numpy("float32")


def open_images(version: DatasetVersion, store: ImageStore, fold: Fold | None = None) -> Images:
    """Open the memory map with its manifest; with a fold, that part of the patients is the validation split.

    Raises:
        TrainingError: store and manifest do not belong together, or a split lacks a class.
    """
    rows = pd.read_parquet(version.manifest, columns=COLUMNS)
    pixels = np.load(store.path, mmap_mode="r", allow_pickle=False)
    expected = (len(rows), store.size, store.size)
    if pixels.shape != expected or pixels.dtype != np.uint8:
        raise TrainingError(
            f"Expected uint8 pixels {expected} in {store.path}, found {pixels.dtype} {pixels.shape}: decode again."
        )
    if fold is not None:
        rows = rows.assign(split=_refolded(pd.read_parquet(version.manifest), fold))
    for split in ("train", "validation"):
        labels = set(rows.loc[rows["split"] == split, "label"])
        if len(labels) < 2:
            raise TrainingError(f"Expected both classes in split {split}, found {sorted(labels)}: give more images.")
    return Images(rows, pixels)


def _refolded(rows: pd.DataFrame, fold: Fold) -> np.ndarray:
    """Splits for one fold: its patients are validation, the others outside the test set are training.

    Patients who share an identical or almost identical picture stay together, as in the splits of the data set.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    known = np.flatnonzero(rows["split"].to_numpy() != "test")
    parts = StratifiedGroupKFold(fold.count, shuffle=True, random_state=0)
    strata = rows["label"] + rows["subtype"]
    patients = groups(rows) if set(PICTURES) <= set(rows) else rows["patient"]
    cut = list(parts.split(known, strata.iloc[known], patients.iloc[known]))
    split = np.where(rows["split"] == "test", "test", "train").astype(object)
    split[known[cut[fold.number][1]]] = "validation"
    return split


def pictures_key(version: DatasetVersion) -> str:
    """Digest of what the manifest says of pictures, by which folds are cut beside patients."""
    told = [name for name in PICTURES if name in parquet.read_schema(version.manifest).names]
    rows = pd.read_parquet(version.manifest, columns=told)
    return hashlib.sha256(rows.to_json(orient="split").encode()).hexdigest()


def _slices(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` items that together cover `count` items."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def predict(
    model: Any,
    pixels: np.ndarray,
    positions: np.ndarray | None = None,
    change: Callable[[np.ndarray], Any] | None = None,
) -> np.ndarray:
    """A model's output for images, float32 (n, ...); it needs the memory of one batch, however many there are.

    Args:
        pixels: uint8 (n, size, size).
        positions: of the images to take; by default all.
        change: applied to each batch, float32 (BATCH, size, size, 1), before the model.
    """
    import keras

    model.jit_compile = keras.backend.backend() == "jax"  # XLA of TensorFlow is 15 times slower on depthwise layers
    chosen = np.arange(len(pixels)) if positions is None else positions
    results = []
    for part in _slices(len(chosen), BATCH):
        batch = np.zeros((BATCH, *pixels.shape[1:], 1), "float32")  # always one shape, so that nothing is traced twice
        count = part.stop - part.start
        batch[:count, ..., 0] = pixels[chosen[part]]
        results.append(np.asarray(model.predict_on_batch(change(batch) if change else batch), "float32")[:count])
    return np.concatenate(results)
