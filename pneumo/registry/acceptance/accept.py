"""Acceptance at a place: whether a registered version works there, and with which operating point."""

import json
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo.data.quality.two_sample_test import audit_manifests, can_be_audited, sentences
from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.evaluation.external import acceptance_test as measuring
from pneumo.evaluation.external import verdict
from pneumo.evaluation.measures import Operating, apply_operating, fit_operating, is_pneumonia
from pneumo.evaluation.statistics.calibration import probability
from pneumo.records.base import EMBEDDING
from pneumo.registry.acceptance import new_version, outcome
from pneumo.registry.acceptance.outcome import Acceptance
from pneumo.registry.acceptance.subject import Place, Subject, read_place, subject
from pneumo.registry.champion import chosen
from pneumo.registry.promotion import version_evidence
from pneumo.serving.fresh_process.client import needs_embeddings
from pneumo.settings import Settings
from pneumo.settings.promotion import Promotion
from pneumo.tracking import Tracker

FOLDER = "accept"  # artifact folder of the run
REPORT = f"{FOLDER}/report.json"


def accept(
    source: str,
    settings: Settings,
    home: Path,
    model: str | None = None,
    calibrate: int | None = None,
    prevalence: float | None = None,
    synthetic: bool = False,
    run_id: str | None = None,
) -> Acceptance:
    """Measure a version on labelled images of a place; with a new operating point, register it as a new version.

    `calibrate` images, drawn by patient, fit offset, temperature and threshold; the other images judge. `prevalence`
    adjusts probabilities to that share of pneumonia. With both, the operating point is first fitted and then adjusted.

    Args:
        source: labelled images of the place, as for `pneumo.data.sources.schemes.ingest`.
        settings: limits and names.
        home: state folder.
        model: models:/name/version or models:/name@alias; empty: the champion.
        calibrate: number of images that fit the operating point; empty: none.
        prevalence: share of pneumonia at the place, between 0 and 1; empty: that of the images.
        synthetic: whether the champion of the drawn images is meant.
        run_id: MLflow run that keeps the evidence and that the caller ends; empty: a new run.

    Raises:
        DataError: the set cannot judge the version; the message says why.
        ModelError: the version takes embeddings and no images.
        PromotionError: there is no champion, other software registered the version, or the new one scores wrongly.
        TrackingError: MLflow does not answer.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise DataError(f"Expected a share of pneumonia between 0 and 1, got {prevalence:g}: give 0.3 for 30 %.")
    tracker = Tracker.of(settings)
    version = chosen(tracker, settings, model, synthetic)
    if version.tags.get(version_evidence.INPUT) == EMBEDDING:
        raise needs_embeddings(version)
    inventory = ingest(source, home, settings.data)
    with subject(tracker, version) as asked, ExitStack() as undo:
        place = read_place(tracker, asked, inventory, home)
        drawn = measuring.draw(place.rows, calibrate) if calibrate else np.zeros(len(place.rows), bool)
        new = _new_point(asked, place.rows[drawn], prevalence, settings.promotion)
        found = _measure(asked, place, drawn, new, prevalence, settings)
        run = run_id or tracker.runs.start(f"accept {found.name}", tags={"stage": "accept"})
        if not run_id:
            undo.callback(tracker.runs.finish, run, "FAILED", "the acceptance was undone")
        found = found.model_copy(update={"run_url": tracker.runs.url(run)})
        tracker.runs.set_tags(run, _tags(found))
        _log(tracker, run, found, place.rows.assign(calibrated_on=drawn))
        if new:
            fitted = new_version.New(new[0], new[1], place.rows[drawn], place.rows[~drawn], place.inventory)
            found = new_version.register(tracker, asked, fitted, found, run, settings, home, undo)
        tracker.log.text(run, json.dumps(found.model_dump(mode="json"), indent=1), REPORT)
        if not run_id:
            tracker.runs.finish(run)
        undo.pop_all()
    return found


def _new_point(
    asked: Subject, rows: pd.DataFrame, prevalence: float | None, policy: Promotion
) -> tuple[Operating, float] | None:
    """The new operating point with its share of pneumonia; None if the version's own is kept."""
    if rows.empty and prevalence is None:
        return None
    operating, share = asked.operating, asked.share
    if not rows.empty:
        operating, share = fit_operating(rows, None, policy.target_sensitivity), float(is_pneumonia(rows).mean())
    if prevalence is None:
        return operating, share
    return measuring.for_prevalence(operating, share, prevalence), prevalence


def _measure(
    asked: Subject,
    place: Place,
    drawn: np.ndarray,
    new: tuple[Operating, float] | None,
    prevalence: float | None,
    settings: Settings,
) -> Acceptance:
    rest, policy, at_home = place.rows[~drawn].reset_index(drop=True), settings.promotion, asked.evaluation
    before = measuring.judge(rest, asked.operating, prevalence)
    after = measuring.judge(rest, new[0], prevalence) if new else None
    rows = outcome.gate_rows(at_home, after or before, policy)
    name = verdict.set_name(place.inventory.source)
    return Acceptance(
        name=name,
        source=place.inventory.source,
        model=asked.version.uri,
        candidate=at_home.name,
        images=measuring.counts(rest),
        patients=rest["patient"].nunique(),
        unreadable=place.unreadable,
        left_out=place.left_out,
        calibrated_on=measuring.counts(place.rows[drawn]),
        prevalence=prevalence,
        out_of_distribution=float(rest["out_of_distribution"].mean()),
        home_auc=at_home.test_auc,
        home_sensitivity=at_home.sensitivity,
        home_specificity=at_home.specificity,
        home_calibration_error=at_home.metrics.get("test_calibration_error"),
        before=before,
        after=after,
        needs=measuring.needs(rest, policy, settings.accept.half_width),
        rows=tuple(rows),
        uncertain=outcome.uncertain(after or before, policy),
        generalises=verdict.generalises(before.auc, at_home.test_auc),
        verdict=verdict.verdict(before.auc, at_home.test_auc),
        shift=_shift(asked, name, place.rows),
        accepted=all(row.passed for row in rows),
        reason=outcome.reason(name, rows),
        advice=outcome.advice(rows, calibrated=bool(drawn.any())),
        version=None,
        alias=None,
        run_url="",
    )


def _shift(asked: Subject, name: str, rows: pd.DataFrame) -> tuple[str, ...]:
    """Sentences of a shift audit of the place's images; none if the version's manifest is too old for one."""
    manifest = pd.read_parquet(asked.kept / version_evidence.MANIFEST)
    if not (can_be_audited(manifest) and can_be_audited(rows)):
        return ()
    return tuple(sentences(audit_manifests(name, manifest[manifest["split"] == "train"], rows)))


def _tags(found: Acceptance) -> dict[str, str]:
    return {
        "data.source": found.source,
        "model": found.model,
        "accepted": str(found.accepted).lower(),
        "mlflow.note.content": f"{found.reason} {found.verdict} {found.advice}",
    }


def _log(tracker: Tracker, run_id: str, found: Acceptance, rows: pd.DataFrame) -> None:
    """Log scores, figures and numbers; the report follows last, when the version has its number."""
    points = {"before": found.before, **({"after": found.after} if found.after else {})}
    for when, judged in points.items():
        tracker.log.metrics(run_id, {f"{when}/{name}": value for name, value in judged.metrics.items()})
    tracker.log.metrics(run_id, {"out_of_distribution": found.out_of_distribution})
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        scored = rows.drop(columns=["histogram"], errors="ignore")
        for when, judged in points.items():
            scored[f"probability_{when}"] = probability(rows["logit"], judged.temperature, judged.offset)
        scored.to_parquet(Path(folder) / "scored.parquet", index=False)
        _draw(Path(folder) / "figures", rows[~rows["calibrated_on"]], points)
        tracker.log.artifacts(run_id, Path(folder), FOLDER)


def _draw(folder: Path, rows: pd.DataFrame, points: dict[str, measuring.SetFigures]) -> None:
    folder.mkdir()
    scored = {when: apply_operating(rows, judged.operating) for when, judged in points.items()}
    newest = list(scored)[-1]
    curves = {when: part["probability"].to_numpy(float) for when, part in scored.items()}
    verdict.draw(folder, scored[newest], points[newest].auc, curves)
