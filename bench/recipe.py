"""Recipes compared under change that neither training nor selection has seen, on patients held out.

Half of the patients outside the test set train and choose, the other half judges, in turn: as it is, and under the
families of `pneumo.evaluation.robustness.simulated_shift.UNSEEN`. Patients whose exposure contradicts their label
(`bench.evidence.contrary`) are held out of both. The log loss is at the operating point that evaluation fits. Two
folds, each with its own seed.

PNEUMO_BENCH_RECIPES="as it is,crop 0.5" and PNEUMO_BENCH_BACKBONES=MobileNetV3Small change what is run.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.evidence import SHARED, contrary, known
from bench.held_out import scores

ON_REQUEST = True  # five minutes a recipe on two cores
EPOCHS = 6  # half of the images, so twice the epochs
RECIPES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "one view": {"views": 1},
    "all layers": {"freeze": 0.0},
    "no second head": {"subtype_weight": 0.0},
    "second head 1": {"subtype_weight": 1.0},
    "crop 0.5": {"crop": 0.5},
    "crop 0.25": {"crop": 0.25},
    "crop 0.08": {"crop": 0.08},
    "augmentation 1": {"augmentation": 1.0},
    "augmentation 2": {"augmentation": 2.0},
    "learning rate 1e-3": {"learning_rate": 1e-3},
}
Row = dict[str, Any]


def rows() -> list[Row]:
    """A row per recipe, fold and figure; empty without the images."""
    if not (SHARED / "data/chest_xray").is_dir():
        return []
    wanted = os.environ.get("PNEUMO_BENCH_RECIPES", ",".join(RECIPES)).split(",")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        manifest, root = known(home)
        manifest = manifest.assign(against=contrary(manifest))
        return [
            row for fold in halves(manifest) for item in wanted for row in measured(home, manifest, root, fold, item)
        ]


def halves(manifest: pd.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
    """Number of a fold and which images it holds out."""
    from sklearn.model_selection import StratifiedGroupKFold

    cut = StratifiedGroupKFold(2, shuffle=True, random_state=0)
    for number, (_, held) in enumerate(cut.split(manifest, manifest["subtype"], manifest["patient"])):
        yield number, np.isin(np.arange(len(manifest)), held)


def measured(
    home: Path, manifest: pd.DataFrame, root: Path, fold: tuple[int, np.ndarray], recipe: str
) -> Iterator[Row]:
    """Train a recipe without what is held out, and judge it by that."""
    from pneumo.data.store.image_store import decode_all
    from pneumo.data.store.versions import keep_version
    from pneumo.training.candidates.candidate import train
    from pneumo.training.candidates.presets import preset_specs

    number, held = fold
    split = np.where(held | manifest["against"], "test", manifest["split"])
    version = keep_version(manifest.drop(columns="against").assign(split=split), "recipe", False, root, home)
    backbones = os.environ.get("PNEUMO_BENCH_BACKBONES", "MobileNetV3Small")
    options: dict[str, Any] = {"epochs": EPOCHS, "seed": number, "weights": str(SHARED / "weights")} | RECIPES[recipe]
    (spec,) = preset_specs("standard", synthetic=False, backbones=backbones, **options)
    store = decode_all(version, home, spec.size, "squash")
    candidate = train(spec, version, store, "", home)
    against = set(manifest["path"][manifest["against"]])
    for figure, value in scores(candidate, version, store, against).items():
        yield {"name": f"{recipe}, fold {number}: {figure}", "value": value, "unit": ""}
