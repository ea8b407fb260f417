"""Frozen features: what a pretrained backbone says of each image, computed once and kept."""

from pathlib import Path
from typing import Any

import numpy as np

from pneumo.stages import ImageStore, code_version, stage_key, written_once
from pneumo.training import weights
from pneumo.training.images import Images, apply
from pneumo.training.spec import CandidateSpec


def embeddings(
    spec: CandidateSpec, network: Any, images: Images, positions: np.ndarray, store: ImageStore, home: Path
) -> np.ndarray:
    """Pooled features of images, float32 (n, d), from the cache where they were computed before."""
    key = stage_key(
        "features",
        backbone=spec.backbone,
        weights=weights.identity(spec, home),
        precision=spec.precision,
        store=store.key,
        positions=positions.tolist(),
        code=code_version("training/features.py", "training/network.py", "training/backbones.py"),
    )
    file = home / "cache" / "features" / key / "features.npy"
    if not file.is_file():
        import keras

        pooled = keras.Model(network.input, network.get_layer("pool").output)
        with written_once(file.parent) as folder:
            np.save(folder / file.name, apply(pooled, images.pixels, positions))
    return np.asarray(np.load(file, allow_pickle=False))
