"""The stage with a real (tiny, random, frozen) backbone, on images that were brought in."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo.data.quality.two_sample_test import STATISTICS, excess
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.image_store import decode_all
from pneumo.data.store.versions import keep_version
from pneumo.errors import WeightsError
from pneumo.evaluation.robustness.shift_audit import RECORD, audit_run
from pneumo.records.base import LABELS
from pneumo.settings.data import Data
from pneumo.training.candidates.spec import candidate_specs
from pneumo.training.networks.backbones import build

SIZE, PATIENTS = 32, 40


def write_set(root, seed, dark=None):
    """Smooth pictures, one a patient; those of the class `dark` were exposed less."""
    random = np.random.default_rng(seed)
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(PATIENTS):
            small = Image.fromarray(random.integers(60, 200, (4, 4), dtype=np.uint8))
            pixels = np.asarray(small.resize((SIZE * 3, SIZE * 3), Image.Resampling.BICUBIC), float)
            picture = Image.fromarray((pixels * (0.6 if label == dark else 1)).astype(np.uint8))
            picture.save(root / label / f"{seed}-{number}.png")
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Version and store of a set whose test normals are darker; weights of a backbone; an external set; a home."""
    import keras

    folder = tmp_path_factory.mktemp("audit")
    home = folder / "home"
    parts = {split: write_set(folder / "set" / split, seed, dark) for seed, (split, dark) in
             enumerate({"train": None, "validation": None, "test": "NORMAL"}.items())}  # fmt: skip
    manifests = [
        pd.read_parquet(ingest(str(root), home, Data()).manifest).assign(split=split) for split, root in parts.items()
    ]
    for manifest in manifests:
        manifest["path"] = manifest["split"] + "/" + manifest["path"]
    rows = pd.concat(manifests).sort_values("path", ignore_index=True).drop(columns="error")
    version = keep_version(rows, "drawn", False, folder / "set", home)
    external = ingest(str(write_set(folder / "north", 9, "PNEUMONIA")), home, Data())
    keras.utils.set_random_seed(3)
    model = build("MobileNet", 0.25, SIZE)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(np.random.default_rng(0).normal(0, 1, (32, SIZE, SIZE, 3)), training=True)
    (folder / "weights").mkdir()
    model.save_weights(folder / "weights" / "MobileNet_0.25_224_no_top.weights.h5")
    (spec,) = candidate_specs("MobileNet:0.25", str(folder / "weights"), SIZE, 1)
    return spec, version, decode_all(version, home, SIZE, "squash"), [external], home


def test_each_group_is_compared_with_training_class_by_class(place):
    test, north = audit_run(*place)
    assert (test.name, north.name) == ("test", "north")
    assert test.features == "MobileNet 0.25, pretrained weights"
    assert [excess(row) > 0.3 for row in test.rows] == [True, False]
    assert [excess(row) > 0.3 for row in north.rows] == [False, True]


def test_without_pretrained_weights_the_record_says_what_was_looked_at(place):
    spec, *rest = place
    test, _ = audit_run(spec.model_copy(update={"weights": "none"}), *rest)
    assert test.features == STATISTICS
    assert [row.patients for row in test.rows] == [PATIENTS, PATIENTS]


def test_a_finished_audit_is_read_and_not_made_again(place):
    first = audit_run(*place)
    records = [file for file in (place[-1] / "cache" / "shift_audit").rglob(RECORD)]
    found = next(file for file in records if "MobileNet" in file.read_text())
    kept = json.loads(found.read_text())
    kept[0]["name"] = "kept"
    found.write_text(json.dumps(kept))
    assert audit_run(*place)[0] == first[0].model_copy(update={"name": "kept"})
    found.write_text(json.dumps([audit.model_dump() for audit in first]))


def test_weights_that_are_not_there_are_an_error(place, tmp_path):
    spec, *rest = place
    with pytest.raises(WeightsError, match=r"MobileNet 0\.25"):
        audit_run(spec.model_copy(update={"weights": str(tmp_path)}), *rest)


def test_other_statistics_in_the_manifest_are_another_audit(place, tmp_path):
    spec, version, store, external, home = place
    plain = spec.model_copy(update={"weights": "none"})
    rows = pd.read_parquet(version.manifest)
    rows["mean"] = rows["mean"] + 100.0 * (rows["split"] == "test")
    rows.to_parquet(tmp_path / "manifest.parquet", index=False)
    measured = version.model_copy(update={"manifest": tmp_path / "manifest.parquet"})
    before, after = (audit_run(plain, one, store, external, home)[0] for one in (version, measured))
    assert [row.auc for row in before.rows] != [row.auc for row in after.rows]
