"""How well candidates hold on patients held out: cross-validated, under simulated shifts, and against their exposure.

Folds are cut by patient from the training and validation images; the test images are never touched. Each fold is held
out once, and the rest is split and trained on as always. The last part holds out the patients whose exposure
contradicts their label: a logistic regression on intensity statistics, itself cross-validated by patient, takes them
for the other class. Normals that look like the other class are what a set from elsewhere brings.

PNEUMO_BENCH_FOLDS=3 and PNEUMO_BENCH_BACKBONES=MobileNetV3Small change what is run.
"""

import dataclasses
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.training.candidates.presets import preset

ON_REQUEST = True  # an hour on two cores
SHARED = Path(__file__).parents[2] / "shared"
REAL = preset("standard", synthetic=False)
EXPOSURE = ["mean", "std", "dark", "bright", "border"]
Row = dict[str, Any]


def rows() -> list[Row]:
    """A row per candidate and figure; empty without the images."""
    if not (SHARED / "data/chest_xray").is_dir():
        return []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        manifest, root = known(home)
        parts = {f"fold {number}": held for number, held in enumerate(folds(manifest))}
        parts["contrary"] = contrary(manifest)
        found = pd.DataFrame(
            [row for part, held in parts.items() for row in measured(home, manifest, root, part, held)]
        )
    return [*cross_validated(found[found["part"] != "contrary"]), *against_exposure(found[found["part"] == "contrary"])]


def known(home: Path) -> tuple[pd.DataFrame, Path]:
    """The accepted images outside the test set, and the folder that their paths start from."""
    from pneumo.data.prepare import prepare
    from pneumo.settings import Settings

    settings = Settings(home=home)
    version = prepare(str(SHARED / "data/chest_xray"), home, settings.data, settings.gate).version
    manifest = pd.read_parquet(version.manifest)
    return manifest[manifest["split"] != "test"].reset_index(drop=True), version.root


def folds(manifest: pd.DataFrame) -> Iterator[np.ndarray]:
    """Which images each fold holds out: patients stay together, classes and subtypes in their shares."""
    from sklearn.model_selection import StratifiedGroupKFold

    cut = StratifiedGroupKFold(int(os.environ.get("PNEUMO_BENCH_FOLDS", "3")), shuffle=True, random_state=0)
    for _, held in cut.split(manifest, manifest["subtype"], manifest["patient"]):
        yield np.isin(np.arange(len(manifest)), held)


def contrary(manifest: pd.DataFrame) -> np.ndarray:
    """Images of the patients with an image whose exposure speaks for the other class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    statistics_of = np.column_stack([manifest[EXPOSURE].to_numpy(), np.stack(list(manifest["histogram"]))])
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    taken_for = cross_val_predict(
        model, statistics_of, manifest["label"], groups=manifest["patient"], cv=GroupKFold(10)
    )  # fmt: skip
    patients = set(manifest["patient"][taken_for != manifest["label"]])
    return manifest["patient"].isin(patients).to_numpy()


def measured(home: Path, manifest: pd.DataFrame, root: Path, part: str, held: np.ndarray) -> Iterator[Row]:
    """Train every backbone without what is held out, and their ensemble, and score them on it."""
    from pneumo.data.store.image_store import decode_all
    from pneumo.data.store.versions import keep_version
    from pneumo.training.candidates.candidate import combine, train
    from pneumo.training.candidates.spec import candidate_specs

    split = np.where(held, "test", manifest["split"])
    version = keep_version(manifest.assign(split=split), "evidence", False, root, home)
    store = decode_all(version, home, REAL.size, "squash")
    names = os.environ.get("PNEUMO_BENCH_BACKBONES", ",".join(REAL.backbones))
    specs = candidate_specs(names, str(SHARED / "weights"), REAL.size, REAL.epochs)
    candidates = [train(spec, version, store, "", home) for spec in specs]
    if len(candidates) > 1:
        candidates.append(combine(candidates, version, store, "", home))
    for candidate in candidates:
        yield {"part": part, "name": candidate.name, **scores(candidate, version, store)}


def scores(candidate: Candidate, version: DatasetVersion, store: ImageStore) -> Row:
    """AUC on the images held out, as they are and shifted, and specificity where 95 % of the ill are called so."""
    import keras

    from pneumo.evaluation.robustness.selection import auc, judge, shifted_auc
    from pneumo.training.dataset_images import open_images

    told = pd.read_parquet(candidate.predictions)
    ill, logits = (told["label"] == "PNEUMONIA").to_numpy(), told["logit"].to_numpy()
    held, tuned = (told["split"] == "test").to_numpy(), (told["split"] == "validation").to_numpy()
    images = open_images(version, store)
    renamed = images.rows.assign(split=images.rows["split"].replace({"validation": "train", "test": "validation"}))
    network = keras.saving.load_model(candidate.model, safe_mode=True)
    shifted = shifted_auc(judge(dataclasses.replace(images, rows=renamed)).shifted(network))
    threshold = np.quantile(logits[tuned & ill], 0.05)
    normal = held & ~ill
    ordinary = np.concatenate([logits[normal], logits[tuned & ill]])
    return {
        "clean": auc(ill[held], logits[held]),
        "shifted": shifted,
        "normals": auc(np.repeat([False, True], [normal.sum(), (tuned & ill).sum()]), ordinary),
        "specificity": float((logits[normal] < threshold).mean()),
        "images": int(held.sum()),
        "healthy": int(normal.sum()),
    }


def cross_validated(found: pd.DataFrame) -> Iterator[Row]:
    """Mean and spread over the folds."""
    for name, part in found.groupby("name", sort=False):
        for figure in ("clean", "shifted"):
            values = list(part[figure])
            spread = f"{len(values)} folds by patient: {min(values):.4f} to {max(values):.4f}"
            yield {"name": f"{name}: {figure} AUC", "value": statistics.mean(values), "unit": "", "note": spread}


def against_exposure(found: pd.DataFrame) -> Iterator[Row]:
    """What the patients whose exposure contradicts their label came to."""
    for row in found.itertuples():
        note = f"{row.images} images, {row.healthy} healthy"
        yield {"name": f"{row.name}: AUC against exposure", "value": row.clean, "unit": "", "note": note}
        note = "healthy ones of these against ill ones of the validation images"
        yield {"name": f"{row.name}: AUC of contrary healthy", "value": row.normals, "unit": "", "note": note}
        note = "their share below the threshold that calls 95 % of those ill"
        yield {"name": f"{row.name}: specificity", "value": row.specificity, "unit": "", "note": note}
