"""The label audit on real X-rays in which labels were flipped on purpose: how many of them it finds, and in how long.

A share of the labels outside the test set is flipped in a copy of the manifest, with the seed as given; files stay as
they are. Suspects that were not flipped are not all false: the set has wrong labels of its own.

PNEUMO_BENCH_FLIPS=0.01,0.03,0.1 sets the shares, PNEUMO_BENCH_DATA and PNEUMO_BENCH_WEIGHTS the places, and
PNEUMO_BENCH_HOME a state folder in which the features may be already.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SHARED = Path(__file__).parents[2] / "shared"
Row = dict[str, Any]


def rows() -> list[Row]:
    """Recall and precision of the sheet for each share; nothing where the images or weights are not to be had."""
    data = os.environ.get("PNEUMO_BENCH_DATA") or str(SHARED / "data/chest_xray")
    if not Path(data).exists():
        return []
    shares = [float(share) for share in os.environ.get("PNEUMO_BENCH_FLIPS", "0,0.01,0.03,0.1").split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        features, manifest = frozen(data, Path(os.environ.get("PNEUMO_BENCH_HOME") or scratch))
    return [row for share in shares for row in audited(features, manifest, share)]


def frozen(data: str, home: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Frozen features of the first backbone of the preset `standard`, and the images outside the test set."""
    from pneumo.data.prepare import prepare
    from pneumo.data.store.image_store import decode_all
    from pneumo.evaluation.label_audit.out_of_fold import frozen_features
    from pneumo.settings import Settings
    from pneumo.training.candidates.presets import preset_specs

    settings = Settings(home=home)
    version = prepare(data, home, settings.data, settings.gate).version
    assert version is not None
    weights = os.environ.get("PNEUMO_BENCH_WEIGHTS") or str(SHARED / "weights")
    spec = preset_specs("standard", version.synthetic, weights=weights)[0]
    features = frozen_features(spec, version, decode_all(version, home, spec.size, "squash"), home)
    assert features is not None, f"no weights in {weights}"
    manifest = pd.read_parquet(version.manifest)
    return features, manifest[manifest["split"] != "test"]


def audited(features: pd.DataFrame, manifest: pd.DataFrame, share: float, seed: int = 0) -> list[Row]:
    """What the audit finds where a share of the labels is flipped."""
    from pneumo.evaluation.label_audit.out_of_fold import FOLDS, cross_validated
    from pneumo.evaluation.label_audit.suspects import sheet

    flipped = np.random.default_rng(seed).random(len(manifest)) < share
    other = manifest["label"].map({"NORMAL": "PNEUMONIA", "PNEUMONIA": "NORMAL"})
    planted = manifest.assign(label=manifest["label"].mask(flipped, other))
    begun = time.monotonic()
    found = sheet(planted, cross_validated(features.loc[planted.index], planted, FOLDS))
    seconds = time.monotonic() - begun
    hits = found["sha256"].isin(planted.loc[flipped, "sha256"]).to_numpy()
    name, count = f"{share:.0%} flipped", int(flipped.sum())
    listed = {"name": f"{name}: images listed", "value": len(found), "note": f"of {len(planted)}, in {seconds:.1f} s"}
    if not count:
        return [listed]
    first = hits[:count].sum()
    return [
        listed,
        {"name": f"{name}: flips listed", "value": hits.sum() / count, "note": f"{hits.sum()} of {count}"},
        {"name": f"{name}: flips among as many first ranks", "value": first / count, "note": f"{first} of {count}"},
        {"name": f"{name}: flips among the first 50 ranks", "value": int(hits[:50].sum())},
    ]
