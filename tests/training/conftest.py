"""A tiny drawn data set, weights for the smallest backbone, and what a training of it needs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.training.candidates.spec import CandidateSpec, candidate_specs

SIZE, COUNT = 32, 96
BACKBONE = "MobileNet:0.25"


def draw(random: np.random.Generator, pneumonia: bool) -> np.ndarray:
    """Noise with a dark lung; with pneumonia it is white."""
    image = random.normal(120, 12, (SIZE, SIZE))
    image[6:26, 6:26] -= 60
    if pneumonia:
        image[6:26, 6:26] += random.normal(60, 6)
    return np.clip(image, 0, 255).astype(np.uint8)


def manifest(count: int = COUNT) -> pd.DataFrame:
    """Rows of a version: half normal, every third image validation, every sixth test."""
    splits = ("train", "validation", "train", "train", "validation", "test")
    rows = [
        {
            "path": f"{number:04d}.png",
            "sha256": f"{number:064x}",
            "label": "PNEUMONIA" if number % 2 else "NORMAL",
            "subtype": ("none", "bacteria", "none", "virus")[number % 4],
            "patient": f"p{number}",
            "split": splits[number // 2 % 6],
        }
        for number in range(count)
    ]
    return pd.DataFrame(rows)


def write_set(folder: Path, count: int = COUNT) -> tuple[DatasetVersion, ImageStore]:
    """A data set version and its decoded images."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, random = manifest(count), np.random.default_rng(5)
    rows.to_parquet(folder / "manifest.parquet")
    np.save(folder / "images.npy", np.stack([draw(random, label == "PNEUMONIA") for label in rows["label"]]))
    version = DatasetVersion(
        digest=f"{count:064x}", source="drawn", synthetic=True, root=folder, manifest=folder / "manifest.parquet",
        images=count, counts={},
    )  # fmt: skip
    return version, ImageStore(key=f"s{count}", path=folder / "images.npy", size=SIZE, fit="squash", images=count)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory) -> tuple[DatasetVersion, ImageStore]:
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="session")
def make_set():
    """Writes a set of another size: make_set(folder, count)."""
    return write_set


@pytest.fixture(scope="session")
def images(dataset):
    from pneumo.training.dataset_images import open_images

    return open_images(*dataset)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A folder with weights of MobileNet 0.25; random ones, but the same every time."""
    import keras

    from pneumo.training.networks.backbones import build

    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(3)
    model = build("MobileNet", 0.25, SIZE)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(np.random.default_rng(0).normal(0, 1, (32, SIZE, SIZE, 3)), training=True)  # statistics that let signals pass
    model.save_weights(folder / "MobileNet_0.25_224_no_top.weights.h5")
    return folder


@pytest.fixture(scope="session")
def make_spec(weights):
    """A spec of the smallest backbone; fields as keywords."""

    def make(**fields) -> CandidateSpec:
        # Of random weights fewer layers can stay frozen, if the others shall learn something.
        values = {"weights": str(weights), "size": SIZE, "epochs": 2, "batch_size": 16, "freeze": 0.1, **fields}
        return candidate_specs(BACKBONE, **values)[0]

    return make
