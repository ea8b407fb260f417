"""The stage `evaluate`: from a candidate's predictions to its figures, and the bundle that can be registered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.store.versions import description_key
from pneumo.errors import DataError
from pneumo.evaluation.bundle_checks import BundleFacts
from pneumo.evaluation.candidate_figures import draw, draw_learning, draw_risk_coverage
from pneumo.evaluation.embedding_model import try_embedding_model
from pneumo.evaluation.image_model import try_image_model
from pneumo.evaluation.measures import (
    Measures,
    Operating,
    apply_operating,
    fit_operating,
    is_pneumonia,
    measure,
    operating_figures,
)
from pneumo.evaluation.robustness.shortcuts import Shortcut
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.evaluation.statistics.conformal import conformal_figures, fit_conformal
from pneumo.records.base import SHIFTED, Conformal
from pneumo.records.data import DatasetVersion, ImageStore, Vectors
from pneumo.records.model import Candidate, Evaluation
from pneumo.settings.promotion import Promotion

if TYPE_CHECKING:
    pass

RECORD, METRICS, SCORED = "evaluation.json", "metrics.json", "scored.parquet"
FIGURES, BUNDLE = "figures", "bundle"


# How a bundle is tried, by what the model takes.
PROBES: dict[type[ImageStore] | type[Vectors], Callable[..., BundleFacts]] = {
    ImageStore: try_image_model,
    Vectors: try_embedding_model,
}


def evaluate(
    candidate: Candidate, version: DatasetVersion, store: ImageStore | Vectors, settings: Promotion, home: Path
) -> Evaluation:
    """Measure a candidate on the test images; offset, temperature and threshold come from validation images.

    What cannot be measured of a candidate on embeddings is named in `unmeasured` and has no number.

    Writes `<home>/cache/evaluate/<key>/`: figures/*.png, metrics.json, scored.parquet and bundle/. A second call with
    the same inputs returns the kept result. `model_uri` is empty; the caller that logs the bundle fills it in.

    Raises:
        DataError: a split lacks a class, or predictions name images that the data set does not have.
        ModelError: the model cannot be loaded in safe mode, or does not score as in its predictions.
    """
    key = stage_key(
        "evaluate",
        candidate=candidate.key,
        version=version.digest,
        described=description_key(version),
        store=store.key,
        target=settings.target_sensitivity,
        coverage=settings.coverage,
        code=code_version("evaluation", "serving", "data/store/decode.py", "data/sources/embeddings.py"),
    )
    folder = home / "cache" / "evaluate" / key
    if not is_kept(folder):
        with written_once(folder) as scratch:
            _write(scratch, key, candidate, version, store, settings)
    kept = Evaluation.model_validate_json((folder / RECORD).read_bytes())
    places = {"bundle": folder / BUNDLE, "predictions": candidate.predictions}
    places |= {"vectors": store.path} if isinstance(store, Vectors) else {}
    return kept.model_copy(update={"run_id": candidate.run_id, "minutes": candidate.minutes, **places})


def _write(
    folder: Path,
    key: str,
    candidate: Candidate,
    version: DatasetVersion,
    store: ImageStore | Vectors,
    settings: Promotion,
) -> None:
    rows = _rows(candidate, version)
    validation = rows[rows["split"] == "validation"]
    shifted = _shifted(candidate)
    operating = fit_operating(validation, shifted, settings.target_sensitivity)
    test = apply_operating(rows[rows["split"] == "test"], operating)
    held_out = apply_operating(validation, operating)
    conformal = fit_conformal(is_pneumonia(held_out), held_out["probability"].to_numpy(), settings.coverage)
    measures, slices = measure(test, operating.temperature), measure_slices(test)

    (folder / FIGURES).mkdir()
    probed = PROBES[type(store)](folder, candidate, version, store, operating, test, conformal)
    draw(folder / FIGURES, test, measures)
    draw_risk_coverage(folder / FIGURES, held_out, operating.threshold, conformal)
    draw_learning(folder / FIGURES, candidate.model.with_name("history.json"))

    test.drop(columns="position").to_parquet(folder / SCORED, index=False)
    facts = _facts(measures, operating, probed.cost, probed.shortcuts) | _fitted(validation, shifted, operating)
    facts |= {f"test_{name}": value for name, value in _conformal(test, conformal).items()}
    record = Evaluation(
        name=candidate.name,
        key=key,
        run_id=candidate.run_id,
        model_uri="",
        bundle=folder / BUNDLE,
        predictions=candidate.predictions,
        minutes=candidate.minutes,
        threshold=operating.threshold,
        temperature=operating.temperature,
        offset=operating.offset,
        selection_score=candidate.selection_score,
        validation_auc=candidate.validation_auc,
        test_auc=measures.intervals["auc"],
        sensitivity=measures.intervals["sensitivity"],
        specificity=measures.intervals["specificity"],
        metrics=facts,
        slices=slices,
        warnings=tuple(row.warning for row in probed.shortcuts if row.warning),
        unmeasured=probed.unmeasured,
        vectors=probed.vectors,
        conformal=conformal,
    )
    (folder / RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")
    report = {"metrics": facts, "slices": slices, "shortcuts": [row.model_dump() for row in probed.shortcuts]}
    (folder / METRICS).write_text(json.dumps(report, indent=1), encoding="utf-8")


def _rows(candidate: Candidate, version: DatasetVersion) -> pd.DataFrame:
    """Predictions with the manifest's other columns and `position`, the row in manifest and image store."""
    predictions = pd.read_parquet(candidate.predictions)
    manifest = pd.read_parquet(version.manifest)
    extra = [name for name in manifest.columns if name not in predictions.columns or name == "path"]
    described = manifest[extra].assign(position=np.arange(len(manifest)))
    rows = predictions.merge(described, on="path", how="left", validate="one_to_one")
    if (unknown := rows.loc[rows["position"].isna(), "path"]).size:
        raise DataError(
            f"Expected predictions of data set {version.digest[:12]}, but {candidate.predictions} has {len(unknown)}"
            f" other images such as {unknown.iloc[0]}: train {candidate.name} on this data set."
        )
    return rows.astype({"position": int})


def _shifted(candidate: Candidate) -> pd.DataFrame | None:
    """Its scores of shifted validation images; None for a model of embeddings, which cannot be shifted."""
    return None if candidate.shifted_auc is None else pd.read_parquet(candidate.predictions.with_name(SHIFTED))


def _fitted(validation: pd.DataFrame, shifted: pd.DataFrame | None, operating: Operating) -> dict[str, float]:
    """Figures of the operating point on the images that it was fitted on, as they are and under simulated shift."""
    parts = {"validation": validation} | ({} if shifted is None else {"shifted": shifted})
    found = {
        f"{part}_{name}": value
        for part, rows in parts.items()
        for name, value in operating_figures(rows, operating).items()
    }
    return found | {"fitted_prevalence": float(is_pneumonia(pd.concat(parts.values())).mean())}


def _conformal(rows: pd.DataFrame, conformal: Conformal) -> dict[str, float]:
    """What the limits that validation fixed come to on scored images."""
    called = rows["called"].to_numpy(bool)
    return conformal_figures(is_pneumonia(rows), rows["probability"].to_numpy(), called, conformal)


def _facts(
    measures: Measures,
    operating: Operating,
    cost: dict[str, float],
    shortcuts: tuple[Shortcut, ...],
) -> dict[str, float]:
    """All numbers by their names in MLflow."""
    return {
        **{f"test_{name}": value for name, value in measures.flat().items()},
        "temperature": operating.temperature,
        "offset": operating.offset,
        "threshold": operating.threshold,
        **cost,
        **{f"shortcut_{row.name.replace(' ', '_')}_auc": row.auc.value for row in shortcuts},
        **({"shortcut_warnings": float(sum(bool(row.warning) for row in shortcuts))} if shortcuts else {}),
    }
