"""Frozen features: a pretrained backbone's pooled output for each image, computed once and kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.records.data import ImageStore
from pneumo.training.augmentation import transforms
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Images, predict
from pneumo.training.networks import pretrained_weights

VIEW = 1  # keeps these seeds apart from those of fine-tuning
CODE = ("training/networks", "training/augmentation", "training/dataset_images.py")


def embeddings(spec: CandidateSpec, network: Any, images: Images, split: str, store: ImageStore, home: Path) -> Any:
    """Pooled features of a split's images, float32 (n, d); taken from the cache if they were computed before."""
    return _cached(spec, network, images, images.of(split), store, home, view=0)


def augmented(spec: CandidateSpec, network: Any, images: Images, split: str, store: ImageStore, home: Path) -> Any:
    """Pooled features of one augmented view of each image, (n, d).

    Fine-tuning sees augmented images, and would first unlearn a head that was fitted without any.
    """
    return _cached(spec, network, images, images.of(split), store, home, view=1)


def _cached(
    spec: CandidateSpec, network: Any, images: Images, positions: np.ndarray, store: ImageStore, home: Path, view: int
) -> np.ndarray:
    key = stage_key(
        "features",
        backbone=spec.backbone,
        weights=pretrained_weights.identity(spec, home),
        precision=spec.precision,
        store=store.key,
        positions=positions.tolist(),
        view=(spec.augmentation, spec.seed) if view else None,
        code=code_version(*CODE),
    )
    file = home / "cache" / "features" / key / "features.npy"
    if not is_kept(file):
        import keras

        pooled = keras.Model(network.input, network.get_layer("pool").output)
        change = _view(spec, store.size) if view else None
        with written_once(file.parent) as folder:
            np.save(folder / file.name, predict(pooled, images.pixels, positions, change))
    return np.asarray(np.load(file, allow_pickle=False))


def _view(spec: CandidateSpec, size: int) -> Callable[[np.ndarray], Any]:
    generator = np.random.default_rng([spec.seed, VIEW])
    return lambda batch: transforms.apply(batch, transforms.draw(generator, len(batch), size, spec.augmentation))
