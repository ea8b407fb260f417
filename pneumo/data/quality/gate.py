"""The gate checks expectations on a manifest and writes outcome rows, a quarantine list and the Data Docs."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.files import tells_disk_errors
from pneumo.data.quality import columns, data_docs
from pneumo.data.quality.great_expectations_suites import WHOLE_SET, Outcome, Session
from pneumo.data.quality.image_expectations import IMAGES, Expectation, at_most
from pneumo.data.quality.set_expectations import DRIFT, FIGURES, SHIFT
from pneumo.errors import GateFailedError, SettingsError
from pneumo.records.data import GateReport, GateRow, Inventory
from pneumo.settings.data import Gate

ROWS, QUARANTINE, DOCS = "rows.json", "quarantine.csv", "docs"
CODE = ("data/quality", "data/splits.py")


@tells_disk_errors
def validate(inventory: Inventory, home: Path, settings: Gate, reference: Path | None) -> GateReport:
    """Check an inventory; a failed expectation is a row of the report, not an exception.

    Args:
        inventory: what ingest found.
        home: state folder.
        settings: severity by the expectation's name, and the share of images that may go to quarantine.
        reference: manifest of the champion's data set, against which drift is measured, or None. Where that is this
            very set, which was checked here before there was a champion, the same report counts: nothing can drift.

    Raises:
        SettingsError: a severity is set for an expectation that does not exist.
    """
    _require_known(settings)
    if reference and _is_of_these_images(reference, inventory, _folder(inventory, home, settings, None)):
        reference = None
    folder = _folder(inventory, home, settings, reference)
    if not is_kept(folder):
        manifest = pd.read_parquet(inventory.manifest)
        drift = columns.drift_figures(manifest, pd.read_parquet(reference)) if reference else {}
        with written_once(folder) as scratch:
            _check(manifest, drift, settings, scratch)
    rows = tuple(GateRow.model_validate(row) for row in json.loads((folder / ROWS).read_text()))
    return GateReport(
        key=folder.name,
        passed=all(row.passed or row.severity == "warning" for row in rows),
        rows=rows,
        quarantined=len(pd.read_csv(folder / QUARANTINE)),
        quarantine=folder / QUARANTINE,
        docs=folder / DOCS,
    )


def _folder(inventory: Inventory, home: Path, settings: Gate, reference: Path | None) -> Path:
    then = hashlib.sha256(reference.read_bytes()).hexdigest() if reference else None
    code = code_version(data_docs.TEMPLATE, *CODE)
    key = stage_key("validate", inventory=inventory.key, settings=settings, reference=then, code=code)
    return home / "cache" / "validate" / key


def _is_of_these_images(reference: Path, inventory: Inventory, checked: Path) -> bool:
    """Whether a manifest holds the images that an earlier check of this inventory let pass, and no others."""
    if not is_kept(checked):
        return False
    rows = pd.read_parquet(inventory.manifest, columns=["path", "sha256"])
    out = pd.read_csv(checked / QUARANTINE, dtype=str, keep_default_na=False)["path"]
    then = pd.read_parquet(reference, columns=["sha256"])["sha256"]
    return sorted(rows.loc[~rows["path"].isin(out), "sha256"]) == sorted(then)


def require(report: GateReport) -> None:
    """Stop if an expectation of severity error failed.

    Raises:
        GateFailedError: names the numbers and the offending files.
    """
    failed = [row for row in report.rows if not row.passed and row.severity == "error"]
    if failed:
        details = "; ".join(f"{row.name}: expected {row.expected}, found {row.observed}{_named(row)}" for row in failed)
        raise GateFailedError(f"The data set did not pass the gate ({details}): correct the data and run again.")


def _named(row: GateRow) -> str:
    return f" ({', '.join(row.files[:5])})" if row.files else ""


def _require_known(settings: Gate) -> None:
    known = {row.name for row in (*IMAGES, *FIGURES, *SHIFT, *DRIFT)}
    if unknown := set(settings.severity) - known:
        raise SettingsError(
            f"mlflow.yaml, key gate.severity: no expectation is called {', '.join(sorted(unknown))};"
            f" there are {', '.join(sorted(known))}."
        )


def _check(manifest: pd.DataFrame, drift: dict[str, float], settings: Gate, folder: Path) -> None:
    """Run both suites, that of the images first, because the other one checks how many of them went to quarantine."""
    session = Session()
    images = session.run("images", columns.image_columns(manifest), _fitting(IMAGES, manifest, settings))
    reasons = _quarantine(images)
    pd.DataFrame(sorted(reasons.items()), columns=["path", "reason"]).to_csv(folder / QUARANTINE, index=False)
    kept = manifest[~manifest["path"].isin(reasons)]
    shift, words = columns.shift_figures(kept)
    figures = columns.set_figures(manifest, kept) | shift | drift
    measured = tuple(row for row in SHIFT + DRIFT if row.column in figures)
    table = _fitting(FIGURES + measured, manifest, settings)
    whole = session.run("data set", pd.DataFrame([{"path": WHOLE_SET} | figures]), table)
    words = {column: f"{value:.3g}" for column, value in figures.items()} | words
    rows = [outcome.row(words) for outcome in images + whole]
    (folder / ROWS).write_text(json.dumps([row.model_dump() for row in rows], indent=1))
    (folder / DOCS).mkdir()
    (folder / DOCS / data_docs.PAGE).write_text(
        data_docs.page({"images": images, WHOLE_SET: whole}, words, session.version), encoding="utf-8"
    )


def _fitting(table: tuple[Expectation, ...], manifest: pd.DataFrame, settings: Gate) -> list[Expectation]:
    """The expectations that apply to this set, with severities and limits from the settings."""
    own_test = bool((manifest["split"] == "test").any())
    return [_with_settings(row, manifest, settings) for row in table if own_test or not row.needs_test]


def _with_settings(row: Expectation, manifest: pd.DataFrame, settings: Gate) -> Expectation:
    if row.column == "quarantined":
        limit = settings.quarantine_limit
        words = f"at most {limit:.1%} of the images had to be taken out"
        row = replace(row, test=at_most(limit), expected=words)
    elif row.column == "patient_unknown" and len(manifest) > settings.patients_unknown_limit:
        row = row if manifest["patient_known"].any() else replace(row, severity="error")
    return replace(row, severity=settings.severity.get(row.name, row.severity))


def _quarantine(outcomes: list[Outcome]) -> dict[str, str]:
    """Reason by path for the images that go to quarantine."""
    reasons: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.expectation.quarantine:
            for path, value in outcome.offenders:
                words = f"{outcome.expectation.name}: expected {outcome.expectation.expected}, found {value}"
                reasons.setdefault(path, words)
    return reasons
