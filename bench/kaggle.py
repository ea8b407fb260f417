"""The official split: presets side by side on a folder with a test set of its own, beside the published figures.

`make bench ARGS=kaggle DATA=<folder> [WEIGHTS=<folder>]`, where the folder is Kaggle's own: 5,216 images to train on,
624 for test. Without DATA it takes `../shared/data/chest_xray`, whose test images are from the same acquisition as the
training images, so figures are higher there. PNEUMO_BENCH_PRESETS=quick,standard,best and PNEUMO_BENCH_SEEDS=0,1,2
change what is run. Nothing is chosen by these figures: a row's candidate is the one that validation chooses.
"""

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pneumo.data.prepare import prepare
from pneumo.data.store.image_store import decode_all
from pneumo.evaluation.evaluate import evaluate
from pneumo.records.base import Interval
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Evaluation
from pneumo.registry.promotion.proposal import choose
from pneumo.settings import Settings
from pneumo.training.candidates.candidate import combine, train
from pneumo.training.candidates.presets import Name, preset_specs

ON_REQUEST = True  # hours on two cores
SHARED = Path(__file__).parents[2] / "shared"
Row = dict[str, Any]
# On Kaggle's own test set: (accuracy, sensitivity, specificity, ROC AUC); None: not given.
PUBLISHED = {
    "Kermany et al. 2018, Inception-V3": (0.928, 0.932, 0.901, 0.968),
    "Yang et al. 2023 (MedMNIST v2), ResNet-18, 224 px": (0.864, None, None, 0.956),
    "Yang et al. 2023 (MedMNIST v2), Google AutoML Vision": (0.946, None, None, 0.991),
    "keras.io example, own network": (0.814, 0.977, None, None),
}


def rows() -> list[Row]:
    """A row per preset, seed and figure; empty without images."""
    data = os.environ.get("PNEUMO_BENCH_DATA") or str(SHARED / "data/chest_xray")
    if not Path(data).exists():
        return []
    wanted = os.environ.get("PNEUMO_BENCH_PRESETS", ",".join(get_args(Name))).split(",")
    seeds = [int(seed) for seed in os.environ.get("PNEUMO_BENCH_SEEDS", "0,1,2").split(",")]
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        version = prepare(data, settings.home, settings.data, settings.gate).version
        assert version is not None
        for name in wanted:
            chosen = [run(name, seed, version, settings) for seed in seeds]
            found += [
                row for seed, item in zip(seeds, chosen, strict=True) for row in figures(f"{name}, seed {seed}", item)
            ]
            found += middle(name, chosen)
    return [*found, *published()]


def run(name: Any, seed: int, version: DatasetVersion, settings: Settings) -> Evaluation:
    """Train a preset's candidates and evaluate the one that validation chooses, as `pneumonia/train` does."""
    weights = os.environ.get("PNEUMO_BENCH_WEIGHTS") or str(SHARED / "weights")
    specs = preset_specs(name, version.synthetic, weights=weights, seed=seed)
    store = decode_all(version, settings.home, specs[0].size, "squash")
    candidates = [train(spec, version, store, "", settings.home) for spec in specs]
    minutes = sum(candidate.minutes for candidate in candidates)
    if len(candidates) > 1:
        candidates.append(combine(candidates, version, store, "", settings.home))
    best = choose([evaluate(item, version, store, settings.promotion, settings.home) for item in candidates])
    return best.model_copy(update={"minutes": minutes})


def figures(name: str, found: Evaluation) -> Iterator[Row]:
    """What one run came to, with intervals over patients."""
    shown = {"ROC AUC": found.test_auc, "sensitivity": found.sensitivity, "specificity": found.specificity}
    for figure, value in shown.items():
        yield {"name": f"{name}: {figure}", "value": value.value, "unit": "", "note": between(value)}
    for figure in ("accuracy", "calibration_error"):
        note = f"validation {found.metrics['validation_calibration_error']:.3f}" if "calibration" in figure else ""
        yield {"name": f"{name}: {figure.replace('_', ' ')}", "value": found.metrics[f"test_{figure}"], "note": note}
    yield {"name": f"{name}: training", "value": found.minutes, "unit": "min", "note": found.name}


def middle(name: str, found: list[Evaluation]) -> Iterator[Row]:
    """The median over seeds, and how far apart they were."""
    values = [item.test_auc.value for item in found]
    spread = f"{min(values):.4f} to {max(values):.4f} over {len(values)} seeds"
    yield {"name": f"{name}: ROC AUC, median", "value": statistics.median(values), "unit": "", "note": spread}


def published() -> Iterator[Row]:
    """What others report for Kaggle's own test set."""
    for name, (accuracy, sensitivity, specificity, auc) in PUBLISHED.items():
        shown = {"accuracy": accuracy, "sensitivity": sensitivity, "specificity": specificity}
        note = ", ".join(f"{figure} {value:.3f}" for figure, value in shown.items() if value is not None)
        yield {"name": f"published: {name}", "value": auc if auc is not None else "no AUC given", "note": note}


def between(value: Interval) -> str:
    """An interval in words."""
    return f"{value.low:.4f} to {value.high:.4f}"
