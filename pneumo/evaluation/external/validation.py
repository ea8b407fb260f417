"""External validation: external sets are scored with the bundle and reported; nothing is trained or chosen by them."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.quality.near_duplicates import seen_in
from pneumo.data.quality.seen_before import seen_before
from pneumo.data.sources import schemes
from pneumo.data.store.decoded_rows import DECODING
from pneumo.errors import DataError, ModelError
from pneumo.evaluation.external.verdict import draw, generalises, set_name, verdict
from pneumo.evaluation.measures import measure
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.records.base import LABELS
from pneumo.records.data import DatasetVersion, Inventory
from pneumo.records.model import Evaluation, External
from pneumo.serving.bundle.image_bundle import Bundle, load_bundle
from pneumo.serving.bundle.score_table import score_cells
from pneumo.settings.data import Data

KNOWN = "of patients in the data set"  # reason for which images of an external set are left out
CODE = ("evaluation", "serving", *DECODING)
RECORD, SCORED, FIGURES = "external.json", "scored.parquet", "figures"


def bring_in(source: str, version: DatasetVersion, home: Path, settings: Data) -> Inventory:
    """Ingest an external set and check that it can serve as one, before any training.

    Other images of patients in the data set are left out and counted in `skipped`.

    Raises:
        DataError: it lacks a class, or holds files or (almost) the same pictures as the data set.
    """
    inventory = schemes.ingest(source, home, settings)
    manifest, known = pd.read_parquet(inventory.manifest), pd.read_parquet(version.manifest)
    if shared := seen_in(manifest, known):
        pairs = ", ".join(f"{path} ~ {theirs}" for path, theirs in list(shared.items())[:3])
        raise DataError(
            f"Expected images from elsewhere in the external set {source}, but {len(shared)} of them are, or almost"
            f" are, in the data set ({pairs}): take them out of one of the two."
        )
    seen = seen_before(manifest, known[known["split"] != "test"])
    without = f" without {seen.sum()} images of patients in the data set" if seen.any() else ""
    if missing := set(LABELS) - set(manifest[~seen]["label"]):
        raise DataError(
            f"Expected both classes in the external set {source}{without}, but {', '.join(sorted(missing))} is missing:"
            " add it, or take the set out of `external` in mlflow.yaml."
        )
    return _without(inventory, manifest, seen, home) if seen.any() else inventory


def _without(inventory: Inventory, manifest: pd.DataFrame, seen: NDArray[np.bool_], home: Path) -> Inventory:
    """The set without some of its images, for `evaluate_external` and for the shift audit."""
    kept, left_out = manifest[~seen], int(seen.sum())
    key = stage_key("external set", inventory=inventory.key, kept=kept["path"].tolist())
    folder = home / "cache" / "external" / key
    if not is_kept(folder):
        with written_once(folder) as scratch:
            kept.to_parquet(scratch / inventory.manifest.name)
    changed = {"key": key, "manifest": folder / inventory.manifest.name, "images": len(kept)}
    return inventory.model_copy(update=changed | {"skipped": inventory.skipped | {KNOWN: left_out}})


def evaluate_external(evaluation: Evaluation, inventory: Inventory, home: Path) -> External:
    """Score an external set with a candidate's bundle, at its own threshold, offset and temperature.

    Writes figures/*.png, scored.parquet and external.json to `<home>/cache/external/<key>/`, once.

    Args:
        evaluation: that of the candidate; its test AUC is the figure at home.
        inventory: that of the external source, from `pneumo.data.sources.schemes.ingest`.
        home: state folder.

    Raises:
        DataError: no readable image, or one class only.
        ModelError: the bundle cannot be loaded, or takes embeddings, of which the set has none.
    """
    key = stage_key(
        "external",
        evaluation=evaluation.key,
        inventory=inventory.key,
        code=code_version(*CODE),
    )
    folder = home / "cache" / "external" / key
    if not is_kept(folder):
        with written_once(folder) as scratch:
            _write(scratch, evaluation, inventory)
    kept = External.model_validate_json((folder / RECORD).read_bytes())
    named = {"name": set_name(inventory.source), "source": inventory.source}
    return kept.model_copy(update={"folder": folder, **named})


def _write(folder: Path, evaluation: Evaluation, inventory: Inventory) -> None:
    bundle = load_bundle(evaluation.bundle)
    if not isinstance(bundle, Bundle):
        raise ModelError(f"Expected a model of images for {inventory.source}, but {evaluation.name} takes embeddings.")
    scored = _score(bundle, inventory)
    good = scored[scored["error"].isna()].reset_index(drop=True)
    if good.empty:
        raise DataError(f"Expected readable images in {inventory.source}, got {len(scored)} unreadable ones: check it.")
    measures, slices = measure(good, bundle.spec.temperature), measure_slices(good)
    area = measures.intervals["auc"]
    (folder / FIGURES).mkdir()
    draw(folder / FIGURES, good, area, {"as served": good["probability"].to_numpy(float)})
    scored.to_parquet(folder / SCORED, index=False)
    record = External(
        name=set_name(inventory.source),
        source=inventory.source,
        folder=folder,
        images=len(good),
        errors=len(scored) - len(good),
        auc=area,
        sensitivity=measures.intervals["sensitivity"],
        specificity=measures.intervals["specificity"],
        out_of_distribution=float(good["out_of_distribution"].mean()),
        left_out=inventory.skipped.get(KNOWN, 0),
        metrics=measures.flat(),
        slices=slices,
        generalises=generalises(area, evaluation.test_auc),
        verdict=verdict(area, evaluation.test_auc),
    )
    (folder / RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")


def _score(bundle: Bundle, inventory: Inventory) -> pd.DataFrame:
    """The manifest's rows with logit, probability, called, out_of_distribution and error."""
    manifest = pd.read_parquet(inventory.manifest).drop(columns=["error"], errors="ignore")
    scores = score_cells(bundle, [inventory.root / path for path in manifest["path"]])
    probability = scores["probability"].clip(1e-12, 1 - 1e-12)
    logit = bundle.spec.temperature * np.log(probability / (1 - probability)) - bundle.spec.offset
    called = scores["label"] == bundle.spec.labels[1]
    # The manifest's label is the truth, the scores' label is the call.
    kept = scores[["probability", "out_of_distribution", "error"]]
    return manifest.assign(**kept, logit=logit, called=called)
