"""The stage `label_audit`: a ranked sheet of images whose label a person should look at. It changes no label."""

from pathlib import Path

import numpy as np
import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.store.versions import description_key
from pneumo.errors import WeightsError
from pneumo.evaluation.figures import save
from pneumo.evaluation.label_audit.out_of_fold import out_of_fold
from pneumo.evaluation.label_audit.suspects import sheet
from pneumo.evaluation.label_audit.thumbnails import SHOWN, thumbnails
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Evaluation, LabelAudit
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.networks.pretrained_weights import identity

FOLDER, SHEET, PICTURES, RECORD = "label_audit", "labels.csv", "pictures.png", "audit.json"
CODE = (
    *("evaluation/label_audit", "evaluation/statistics", "training/networks", "training/dataset_images.py"),
    *("data/splits.py", "data/quality/near_duplicates.py"),
)


def audit_labels(
    spec: CandidateSpec, version: DatasetVersion, store: ImageStore, evaluation: Evaluation, home: Path
) -> LabelAudit:
    """Look for wrong labels outside the test set; test labels stay as they are, since they judge.

    Writes `<home>/cache/label_audit/<key>/`: labels.csv and, if there are suspects, pictures.png.

    Args:
        spec: of the backbone whose frozen features are used where no networks of folds have scored the images.
        evaluation: of the candidate that is decided on.
    """
    inputs = {"evaluation": evaluation.key, "version": version.digest, "store": store.key}
    inputs["described"] = description_key(version)
    settings = spec.model_dump(mode="json", exclude={"weights"})
    key = stage_key(FOLDER, spec=settings, weights=_weights(spec, home), code=code_version(*CODE), **inputs)
    folder = home / "cache" / FOLDER / key
    if not is_kept(folder):
        with written_once(folder) as scratch:
            _write(scratch, spec, version, store, evaluation, home)
    kept = LabelAudit.model_validate_json((folder / RECORD).read_bytes())
    return kept.model_copy(update={"folder": folder})


def _weights(spec: CandidateSpec, home: Path) -> str | None:
    """Identity of the weights of the frozen features; None where they are on other machines, so that there are none."""
    try:
        return identity(spec, home)
    except WeightsError:
        return None


def sentence(audit: LabelAudit) -> str:
    """What was found, as a line of the run's summary."""
    place = f"{FOLDER}/{SHEET} in MLflow"
    if not audit.suspects:
        return f"No label of {audit.images} images outside the test set stands out."
    images = "1 image" if audit.suspects == 1 else f"{audit.suspects} images"
    return f"{images} of {audit.images} whose label should be looked at: {place}."


def _write(
    folder: Path,
    spec: CandidateSpec,
    version: DatasetVersion,
    store: ImageStore,
    evaluation: Evaluation,
    home: Path,
) -> None:
    manifest = pd.read_parquet(version.manifest)
    probabilities, source = out_of_fold(spec, version, store, evaluation, home)
    rows = manifest[manifest["split"] != "test"]
    found = sheet(rows, probabilities)
    found.to_csv(folder / SHEET, index=False)
    shown = found.head(SHOWN)
    if len(shown):
        positions = pd.Series(manifest.index, index=manifest["sha256"]).groupby(level=0).first()[shown["sha256"]]
        save(thumbnails(shown, np.load(store.path, mmap_mode="r")[positions.to_numpy()]), folder / PICTURES)
    audited = int(rows["path"].isin(probabilities.index).sum())
    record = LabelAudit(images=audited, suspects=len(found), source=source, folder=folder)
    (folder / RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")
