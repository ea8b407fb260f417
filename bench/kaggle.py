"""The official split: presets side by side on a folder with a test set of its own, beside the published figures.

`make bench ARGS=kaggle DATA=<folder> [WEIGHTS=<folder>]`, where the folder is Kaggle's own: 5,216 images to train on,
624 for test. Without DATA it takes `../shared/data/chest_xray`, whose test images are from the same acquisition as the
training images, so figures are higher there. PNEUMO_BENCH_PRESETS=quick,standard,best and PNEUMO_BENCH_SEEDS=0,1,2
change what is run; PNEUMO_BENCH_HOME is a state folder from which a run that was cut off continues. Minutes are those
of training. Nothing is chosen by these figures: a row's candidate is the one that validation chooses.
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
    """A row per preset and seed, the median over a preset's seeds, and published figures; empty without images."""
    data = os.environ.get("PNEUMO_BENCH_DATA") or str(SHARED / "data/chest_xray")
    if not Path(data).exists():
        return []
    wanted = os.environ.get("PNEUMO_BENCH_PRESETS", ",".join(get_args(Name))).split(",")
    seeds = [int(seed) for seed in os.environ.get("PNEUMO_BENCH_SEEDS", "0,1,2").split(",")]
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        settings = Settings(home=Path(os.environ.get("PNEUMO_BENCH_HOME") or scratch))
        version = prepare(data, settings.home, settings.data, settings.gate).version
        assert version is not None
        for name in wanted:
            chosen = {seed: run(name, seed, version, settings) for seed in seeds}
            found += [figures(f"{name}, seed {seed}", item) for seed, item in chosen.items()]
            found.append(middle(name, list(chosen.values())))
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


def figures(name: str, found: Evaluation) -> Row:
    """What one run came to; the interval is over patients."""
    return {
        "name": name,
        "validation AUC": round(found.validation_auc, 4),
        "test AUC": round(found.test_auc.value, 4),
        "95 % interval": f"{found.test_auc.low:.4f}-{found.test_auc.high:.4f}",
        "sensitivity": round(found.sensitivity.value, 3),
        "specificity": round(found.specificity.value, 3),
        "accuracy": round(found.metrics["test_accuracy"], 3),
        "calibration error": round(found.metrics["test_calibration_error"], 3),
        "minutes": round(found.minutes, 1),
        "chosen": found.name,
    }


def middle(name: str, found: list[Evaluation]) -> Row:
    """The median AUC over seeds, and how far apart they were."""
    values = [item.test_auc.value for item in found]
    spread = f"{min(values):.4f}-{max(values):.4f}"
    return {"name": f"{name}, median (range)", "test AUC": round(statistics.median(values), 4), "95 % interval": spread}


def published() -> Iterator[Row]:
    """What others report for Kaggle's own test set."""
    for name, values in PUBLISHED.items():
        given = zip(("accuracy", "sensitivity", "specificity", "test AUC"), values, strict=True)
        yield {"name": name, **{figure: value for figure, value in given if value is not None}}
