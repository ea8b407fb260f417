"""The stage `shift_audit`: whether test images and external sets come from the same place as the training images.

It uses frozen features of a pretrained backbone. Features of the trained model would not do: the model has learned its
training images and can tell them from any others.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.quality.two_sample_test import Group, audit, audit_manifests, sample
from pneumo.data.store.decoded_rows import DECODING, Shelf
from pneumo.data.store.image_store import read_rows
from pneumo.data.store.versions import description_key
from pneumo.evaluation.external.verdict import TEST, set_name
from pneumo.records.data import DatasetVersion, ImageStore, Inventory, ShiftAudit
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import predict
from pneumo.training.networks import architecture, pretrained_weights

if TYPE_CHECKING:
    import keras

RECORD = "audits.json"
CODE = (
    *("evaluation/robustness/shift_audit.py", "data/quality/two_sample_test.py", *DECODING),
    *("training/networks/architecture.py", "training/networks/backbones.py", "training/dataset_images.py"),
)
Set = tuple[str, pd.DataFrame, Path]
Look = Callable[[str, pd.DataFrame, Path], ShiftAudit]


def audit_run(
    spec: CandidateSpec, version: DatasetVersion, store: ImageStore, external: Sequence[Inventory], home: Path
) -> tuple[ShiftAudit, ...]:
    """Compare the test images, then each external set, with the training images.

    Without pretrained weights there are no frozen features; then statistics in the manifests are compared, and the
    record says so. Writes `<home>/cache/shift_audit/<key>/audits.json`, once.

    Args:
        spec: that of the backbone; size and weights as in its training.
        external: inventories of the external sets.

    Raises:
        WeightsError: the pretrained weights are not on this machine.
        DataError: an image has changed since ingest.
    """
    key = stage_key(
        "shift_audit",
        backbone=spec.backbone,
        weights=pretrained_weights.identity(spec, home),
        version=version.digest,
        described=description_key(version),
        store=store.key,
        external=[(inventory.key, inventory.source) for inventory in external],
        code=code_version(*CODE),
    )
    folder = home / "cache" / "shift_audit" / key
    if not is_kept(folder):
        manifest = pd.read_parquet(version.manifest)
        training = manifest[manifest["split"] == "train"]
        look = _with_backbone(spec, training, version, store, home) if spec.pretrained else _with_manifests(training)
        found = [look(name, rows, root).model_dump() for name, rows, root in _sets(manifest, version, external)]
        with written_once(folder) as scratch:
            (scratch / RECORD).write_text(json.dumps(found, indent=1), encoding="utf-8")
    return tuple(ShiftAudit.model_validate(row) for row in json.loads((folder / RECORD).read_bytes()))


def _sets(manifest: pd.DataFrame, version: DatasetVersion, external: Sequence[Inventory]) -> Iterator[Set]:
    yield TEST, manifest[manifest["split"] == "test"], version.root
    for inventory in external:
        rows = pd.read_parquet(inventory.manifest)
        yield set_name(inventory.source), rows[rows["error"].isna()], inventory.root


def _with_manifests(training: pd.DataFrame) -> Look:
    return lambda name, rows, _: audit_manifests(name, training, rows)


def _with_backbone(
    spec: CandidateSpec, training: pd.DataFrame, version: DatasetVersion, store: ImageStore, home: Path
) -> Look:
    pooled = frozen_network(spec, home)
    shelf = Shelf(home, store.size, store.fit)

    def group(rows: pd.DataFrame, root: Path) -> Group:
        chosen = sample(rows)
        return Group(chosen, predict(pooled, read_rows(chosen, root, shelf)))

    kind = f"{spec.name}, {'ImageNet' if spec.weights == pretrained_weights.KERAS else 'pretrained'} weights"
    known = group(training, version.root)
    return lambda name, rows, root: audit(name, kind, known, group(rows, root))


def frozen_network(spec: CandidateSpec, home: Path) -> "keras.Model":
    """A backbone as it is before training: float32 (n, size, size, 1) in 0..255 -> pooled features (n, d).

    Raises:
        WeightsError: the pretrained weights cannot be found or fetched.
    """
    import keras

    whole = architecture.build(spec, pretrained_weights.load_backbone(spec, home))
    return keras.Model(whole.input, whole.get_layer("pool").output)
