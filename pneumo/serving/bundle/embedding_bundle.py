"""A registered model of embeddings: it takes no images, but what another model made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pneumo.errors import DataError
from pneumo.serving.bundle.inputs import kind
from pneumo.serving.bundle.scorer import Answers, Scorer, Scores, Spec

Floats = NDArray[np.float32]


class EmbeddingSpec(Spec):
    """What is needed to use a model of embeddings; `name` says which ones, `width` how many numbers each has."""

    input: Literal["embedding"] = "embedding"
    width: int


@dataclass(frozen=True)
class EmbeddingBundle(Scorer):
    """A loaded bundle of a linear model on embeddings; the feature distance is that of the embeddings themselves."""

    spec: EmbeddingSpec

    def answer(self, cells: Sequence[Any], first: int = 0) -> Answers:
        """Score vectors; one that cannot be used gets an error, the others their scores."""
        found = [_vector(cell, self.spec, f"row {row}") for row, cell in enumerate(cells, start=first)]
        rows = np.array([row for row, item in enumerate(found) if not isinstance(item, str)], np.intp)
        vectors = [item for item in found if not isinstance(item, str)]
        errors = [item if isinstance(item, str) else None for item in found]
        return Answers(self.score(np.stack(vectors) if vectors else np.zeros((0, self.spec.width))), rows, errors)

    def score(self, vectors: NDArray[np.floating]) -> Scores:
        """Score embeddings, float32 (n, width)."""
        import keras

        narrow = vectors.astype(np.float32)
        # Called directly, because `predict` would be traced again for every number of rows.
        logits = keras.ops.convert_to_numpy(self.model(narrow))[:, 0]
        distance = self.feature_distance.distance(narrow)
        return Scores(self.probability(logits), distance, self.feature_distance.is_beyond(distance))


def _vector(cell: Any, spec: EmbeddingSpec, name: str) -> Floats | str:
    try:
        return vector_of(cell, spec.width, name)
    except DataError as error:
        return str(error)


def vector_of(cell: Any, width: int, name: str) -> Floats:
    """A cell as an embedding, float32 (width,).

    Raises:
        DataError: it is no list of `width` finite numbers.
    """
    wanted = f"Expected an embedding of {width} finite numbers, but {name} holds"
    if not isinstance(cell, list | tuple | np.ndarray):
        raise DataError(f"{wanted} {kind(cell)}.")
    try:
        numbers = np.asarray(cell)
    except ValueError:  # it holds lists of different lengths
        numbers = np.asarray(cell, object)
    if numbers.ndim != 1 or not (np.issubdtype(numbers.dtype, np.number) and np.isrealobj(numbers)):
        raise DataError(f"{wanted} something else than a flat list of numbers.")
    if len(numbers) != width:
        raise DataError(f"{wanted} {len(numbers)} numbers: it was made by another model.")
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    if not np.isfinite(narrow).all():
        raise DataError(f"{wanted} NaN or infinity.")
    return narrow
