"""Checks of every bundle: that it scores as in the predictions, and how long a score takes."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumo.errors import ModelError
from pneumo.evaluation.measures import Operating
from pneumo.evaluation.robustness.shortcuts import Shortcut
from pneumo.records.base import Conformal
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Candidate
from pneumo.serving.bundle.image_bundle import MODEL
from pneumo.serving.bundle.score_table import score_cells
from pneumo.serving.bundle.scorer import Scorer

LATENCY_CALLS = 9
Floats = NDArray[np.float64]


class BundleFacts(NamedTuple):
    """What was measured of a bundle, and sentences on what could not be; `vectors` if it takes embeddings."""

    shortcuts: tuple[Shortcut, ...]
    cost: dict[str, float]
    unmeasured: tuple[str, ...] = ()
    vectors: Path | None = None


def bundle_spec(
    candidate: Candidate, version: DatasetVersion, operating: Operating, conformal: Conformal | None
) -> dict[str, Any]:
    """Fields of a bundle's spec that all kinds of models share."""
    return {
        "name": candidate.name,
        **operating._asdict(),
        "conformal": conformal,
        "dataset": version.digest,
        "synthetic": version.synthetic,
    }


def require_same(bundle: Scorer, predicted: Floats, now: Floats, tolerance: float = 0.01) -> None:
    """Refuse a model that does not score as in its predictions.

    Raises:
        ModelError: a probability differs by more than the tolerance.
    """
    if not (gap := float(np.abs(now - predicted).max())) <= tolerance:  # nor is no number the same
        raise ModelError(
            f"Expected model {bundle.spec.name} to score test images as in its predictions, but a probability differs"
            f" by {gap:.3f}: its files do not belong together; train it again."
        )


def measure_cost(bundle: Scorer, folder: Path, cell: Path | Floats) -> dict[str, float]:
    """Median time in ms from a file, or vector, to its probability after a warm-up, and the model's size in MB."""
    times = []
    for _ in range(LATENCY_CALLS + 2):
        begun = time.perf_counter()
        score_cells(bundle, [cell])
        times.append((time.perf_counter() - begun) * 1000)
    return {"latency_ms": float(np.median(times[2:])), "model_mb": (folder / MODEL).stat().st_size / 1e6}
