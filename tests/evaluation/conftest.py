"""A small data set on disk, a tiny model of it, and what the earlier stages would hand over."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo.records.data import DatasetVersion, ImageStore, Inventory
from pneumo.records.model import Candidate

SIZE, COUNT = 32, 150


def draw(random: np.random.Generator, pneumonia: bool) -> np.ndarray:
    """Noise; pneumonia has an opacity in the middle that is sometimes too faint to see."""
    image = random.normal(90, 25, (SIZE, SIZE))
    image[8:24, 8:24] += random.normal(35, 25) * pneumonia
    return np.clip(image, 0, 255).astype(np.uint8)


def table(root: Path, count: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw images (two per patient) into class folders; their manifest by path, and their pixels in that order."""
    random, rows = np.random.default_rng(seed), []
    for number in range(count):
        label = "PNEUMONIA" if number // 2 % 2 else "NORMAL"
        pixels = draw(random, label == "PNEUMONIA")
        path = f"{label}/{number // 2:03d}_{number % 2}.png"
        (root / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / path)
        subtype = "none" if label == "NORMAL" else ("bacteria", "virus")[number % 4 // 2 if number % 3 else 0]
        rows.append({
            "path": path, "sha256": f"{hash((seed, number)) & 0xFFFFFFFF:064x}", "label": label, "subtype": subtype,
            "patient": f"p{number // 2:03d}", "width": SIZE, "height": SIZE, "mode": "L",
            "split": ("train", "validation", "test")[number // 4 % 3],
            "mean": float(pixels.mean()), "std": float(pixels.std()), "pixels": pixels,
        })  # fmt: skip
    frame = pd.DataFrame(rows).sort_values("path", ignore_index=True)
    return frame.drop(columns="pixels"), np.stack(list(frame["pixels"]))


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def dataset(home) -> tuple[DatasetVersion, ImageStore]:
    manifest, pixels = table(home / "images", COUNT, seed=0)
    manifest.to_parquet(home / "manifest.parquet")
    np.save(home / "images.npy", pixels)
    version = DatasetVersion(
        digest="d" * 64, source="drawn", synthetic=True, root=home / "images", manifest=home / "manifest.parquet",
        images=COUNT, counts={},
    )  # fmt: skip
    return version, ImageStore(key="store", path=home / "images.npy", size=SIZE, fit="squash", images=COUNT)


@pytest.fixture(scope="session")
def candidate(home, dataset) -> Candidate:
    """A convolution with random weights and a head fitted on the training images."""
    import keras
    from sklearn.linear_model import LogisticRegression

    version, store = dataset
    manifest, images = pd.read_parquet(version.manifest), np.load(store.path)[..., None].astype(np.float32)
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, 1))
    maps = keras.layers.Conv2D(8, 5, 2, activation="relu")(keras.layers.Rescaling(1 / 127.5, -1)(image))
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    dense = keras.layers.Dense(1, name="logit")
    model = keras.Model(image, dense(pooled))
    embeddings = np.asarray(keras.Model(image, pooled)(images))
    training = (manifest["split"] == "train").to_numpy()
    head = LogisticRegression(C=1000).fit(embeddings[training], manifest["label"][training] == "PNEUMONIA")
    dense.set_weights([head.coef_.T.astype(np.float32), head.intercept_.astype(np.float32)])
    folder = home / "candidate"
    folder.mkdir()
    model.save(folder / "model.keras")
    (folder / "history.json").write_text('{"epochs": [{"epoch": 1, "loss": 0.5, "validation_auc": 0.8}]}')
    rows = manifest[~training][["path", "sha256", "patient", "label", "subtype", "split"]]
    rows.assign(logit=np.asarray(model(images))[~training, 0]).to_parquet(folder / "predictions.parquet")
    shifted = rows[rows["split"] == "validation"][["path", "patient", "label"]].assign(kind="darker", round=0)
    darker = images[(manifest["split"] == "validation").to_numpy()] * 0.8
    shifted.assign(logit=np.asarray(model(darker))[:, 0]).to_parquet(folder / "shifted.parquet")
    return Candidate(
        name="tiny", key="candidate", run_id="first", model=folder / "model.keras",
        predictions=folder / "predictions.parquet", validation_auc=0.8, shifted_auc=0.7, selection_score=0.75,
        minutes=0.1,
    )  # fmt: skip


@pytest.fixture(scope="session")
def evaluation(candidate, dataset, home):
    from pneumo.evaluation.evaluate import evaluate
    from pneumo.settings.promotion import Promotion

    return evaluate(candidate, *dataset, Promotion(), home)


@pytest.fixture(scope="session")
def inventory(home) -> Inventory:
    """Images from elsewhere: the same drawing, the other way round in gray, one of them broken."""
    root = home / "elsewhere"
    manifest, pixels = table(root, 60, seed=1)
    for path, image in zip(manifest["path"], pixels, strict=True):
        Image.fromarray(255 - image).save(root / path)
    (root / manifest["path"][0]).write_bytes(b"broken")
    manifest.drop(columns="split").assign(error=None).to_parquet(home / "elsewhere.parquet")
    return Inventory(
        key="elsewhere", source="elsewhere", synthetic=True, root=root, manifest=home / "elsewhere.parquet",
        images=60, skipped={},
    )  # fmt: skip
