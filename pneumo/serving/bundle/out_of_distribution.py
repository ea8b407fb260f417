"""Out-of-distribution detection: how far an image is from the training images in the model's own feature space."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
COMPONENTS = 32
QUANTILE = 0.99


@dataclass(frozen=True)
class FeatureDistance:
    """Distance to the training images; an image farther than `limit` is out-of-distribution.

    The squared distance is a mean over the squared whitened principal components and the squared rest outside them,
    relative to its mean in training (Mahalanobis distance of a probabilistic PCA: Tipping and Bishop 1999; used to
    detect out-of-distribution inputs by Lee et al. 2018). It is about 1 for training images.

    Shapes: mean (d,), axes (k, d), deviations (k,); rest is the mean squared norm outside the axes. `columns` are the d
    features that count, of more; None: all.
    """

    mean: Embeddings
    axes: Embeddings
    deviations: Embeddings
    rest: float
    limit: float
    columns: NDArray[np.intp] | None = None

    def distance(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """Distance of each embedding, (n, d or more) -> (n,), at least 0."""
        counted = embeddings if self.columns is None else embeddings[:, self.columns]
        centred = counted.astype(np.float64) - self.mean
        inside = centred @ self.axes.T
        outside = np.clip((centred**2).sum(axis=1) - (inside**2).sum(axis=1), 0, None)
        within = ((inside / self.deviations) ** 2).mean(axis=1)
        distances: NDArray[np.float64] = np.sqrt((within + outside / self.rest) / 2)
        return distances

    def out_of_distribution(self, embeddings: Embeddings) -> NDArray[np.bool_]:
        """Whether each embedding is farther than the limit, (n, d) -> bool (n,)."""
        return self.is_beyond(self.distance(embeddings))

    def is_beyond(self, distances: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether distances (n,) are beyond the limit; one that is no number is."""
        return ~(distances <= self.limit)

    def save(self, path: Path) -> None:
        """Write as .npz, without pickle."""
        np.savez_compressed(path, **{name: value for name, value in vars(self).items() if value is not None})

    @classmethod
    def load(cls, path: Path) -> "FeatureDistance":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            numbers = float(file["rest"]), float(file["limit"])
            return cls(file["mean"], file["axes"], file["deviations"], *numbers, file.get("columns"))


def learn_feature_distance(
    training: Embeddings, validation: Embeddings, columns: NDArray[np.intp] | None = None
) -> FeatureDistance:
    """Fit the distance to training embeddings (n, d); 1 % of the validation images are beyond the limit.

    Args:
        training: of images from which the network learned.
        validation: of images from which it did not, or the limit would be too low for any new image.
        columns: features that count, of networks for which both are so; None: all.
    """
    if columns is not None:
        training = training[:, columns]
    mean = training.mean(axis=0, dtype=np.float64)
    centred = training - mean
    _, spread, axes = np.linalg.svd(centred, full_matrices=False)
    count = min(COMPONENTS, len(spread) - 1, int((spread > spread[0] * 1e-4).sum()))
    deviations = np.maximum(spread[:count] / np.sqrt(len(training)), np.finfo(np.float32).tiny)
    total = (centred**2).sum()
    rest = max(float((total - (spread[:count] ** 2).sum()) / len(training)), 1e-6 * float(total) / len(training), 1e-12)
    unlimited = FeatureDistance(
        mean.astype(np.float32), axes[:count].astype(np.float32), deviations.astype(np.float32), rest, np.inf, columns
    )
    return replace(unlimited, limit=float(np.quantile(unlimited.distance(validation), QUANTILE)))
