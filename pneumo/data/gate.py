"""The gate: the expectations on a manifest, checked with Great Expectations; the only door to it."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo.data import checks
from pneumo.data.expectations import DRIFT, FIGURES, IMAGES, Expectation, at_most
from pneumo.data.files import tells_disk_errors
from pneumo.errors import GateFailedError, SettingsError
from pneumo.settings import Gate
from pneumo.stages import GateReport, GateRow, Inventory, code_version, stage_key, written_once

ROWS, QUARANTINE, DOCS = "rows.json", "quarantine.csv", "docs"
SHOWN = 20


@tells_disk_errors
def validate(inventory: Inventory, home: Path, settings: Gate, reference: Path | None) -> GateReport:
    """Check an inventory; a failed expectation is a row of the report, not an exception.

    Args:
        inventory: what ingestion found.
        home: state folder.
        settings: severity by expectation name, and the share of images that may be taken out.
        reference: manifest of the current champion's data set to measure drift against, or None.

    Raises:
        SettingsError: a severity is set for an expectation that does not exist.
    """
    _require_known(settings)
    then = hashlib.sha256(reference.read_bytes()).hexdigest() if reference else None
    code = code_version("data/gate.py", "data/checks.py", "data/similar.py", "data/expectations.py")
    key = stage_key("validate", inventory=inventory.key, settings=settings, reference=then, code=code)
    folder = home / "cache" / "validate" / key
    if not folder.is_dir():
        manifest = pd.read_parquet(inventory.manifest)
        drift = checks.drift_figures(manifest, pd.read_parquet(reference)) if reference else {}
        with written_once(folder) as scratch:
            _check(manifest, drift, settings, scratch)
    rows = tuple(GateRow.model_validate(row) for row in json.loads((folder / ROWS).read_text()))
    return GateReport(
        key=key,
        passed=all(row.passed or row.severity == "warning" for row in rows),
        rows=rows,
        quarantined=len(pd.read_csv(folder / QUARANTINE)),
        quarantine=folder / QUARANTINE,
        docs=folder / DOCS,
    )


def require(report: GateReport) -> None:
    """Raise GateFailedError with the numbers and the offending files if an expectation of severity error failed."""
    failed = [row for row in report.rows if not row.passed and row.severity == "error"]
    if failed:
        details = "; ".join(f"{row.name}: expected {row.expected}, found {row.observed}{_named(row)}" for row in failed)
        raise GateFailedError(f"The data set did not pass the gate ({details}): correct the data and run again.")


def _named(row: GateRow) -> str:
    return f" ({', '.join(row.files[:5])})" if row.files else ""


def _require_known(settings: Gate) -> None:
    known = {row.name for row in (*IMAGES, *FIGURES, *DRIFT)}
    if unknown := set(settings.severity) - known:
        raise SettingsError(
            f"mlflow.yaml, key gate.severity: no expectation is called {', '.join(sorted(unknown))};"
            f" there are {', '.join(sorted(known))}."
        )


def _check(manifest: pd.DataFrame, drift: dict[str, float], settings: Gate, folder: Path) -> None:
    """Run both tables, the images first because the second looks at how many of them were taken out."""
    session = Session(folder / DOCS)
    columns = checks.image_columns(manifest)
    results = session.run("images", columns, _with_settings(IMAGES, settings))
    reasons = _quarantine(results)
    pd.DataFrame(sorted(reasons.items()), columns=["path", "reason"]).to_csv(folder / QUARANTINE, index=False)
    figures = checks.set_figures(manifest, len(reasons)) | drift
    table = _with_settings(FIGURES + (DRIFT if drift else ()), settings)
    results += session.run("data set", pd.DataFrame([{"path": "data set"} | figures]), table)
    session.build_docs()
    rows = [_gate_row(expectation, result, figures).model_dump() for expectation, result in results]
    (folder / ROWS).write_text(json.dumps(rows, indent=1))


def _with_settings(table: tuple[Expectation, ...], settings: Gate) -> list[Expectation]:
    limit = settings.quarantine_limit
    words = f"at most {limit:.1%} of the images had to be taken out"
    rows = [replace(row, severity=settings.severity.get(row.name, row.severity)) for row in table]
    return [replace(row, test=at_most(limit), expected=words) if row.name == "quarantine" else row for row in rows]


Result = tuple[Expectation, dict[str, Any]]


class Session:
    """A throw-away Great Expectations context that writes its Data Docs to a folder."""

    def __init__(self, docs: Path) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
        import great_expectations

        self._gx = great_expectations
        self._context = great_expectations.get_context(mode="ephemeral")
        self._context.variables.progress_bars = {"globally": False, "metric_calculations": False}
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
        index = {"class_name": "DefaultSiteIndexBuilder"}
        site = {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
        self._context.add_data_docs_site("gate", site)
        self._source = self._context.data_sources.add_pandas("manifest")

    def run(self, name: str, table: pd.DataFrame, expectations: list[Expectation]) -> list[Result]:
        """Check one table; results in the order of the expectations, each with `success` and `result`."""
        gx = self._gx
        batch = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
        suite = self._context.suites.add(gx.ExpectationSuite(name, expectations=[self._build(e) for e in expectations]))
        definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
        checkpoint = gx.Checkpoint(
            name=name,
            validation_definitions=[self._context.validation_definitions.add(definition)],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["path"]},
        )
        outcome = self._context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": table})
        (validation,) = outcome.run_results.values()
        found = {result.expectation_config.meta["name"]: result.to_json_dict() for result in validation.results}
        return [(expectation, found[expectation.name]) for expectation in expectations]

    def build_docs(self) -> None:
        """Write the Data Docs site of everything that was run."""
        self._context.build_data_docs(site_names=["gate"])

    def _build(self, expectation: Expectation) -> Any:
        return getattr(self._gx.expectations, expectation.test.kind)(
            column=expectation.column,
            severity="critical" if expectation.severity == "error" else "warning",
            meta={"name": expectation.name},
            notes=f"{expectation.name}: {expectation.expected}",
            **expectation.test.arguments,
        )


def _offenders(expectation: Expectation, result: dict[str, Any]) -> list[tuple[str, str]]:
    """Path and value of each offending image."""
    found = result["result"].get("unexpected_index_list") or []
    return [(item["path"], _short(item[expectation.column])) for item in found if item["path"] != "data set"]


def _named_with(path: str, value: str) -> str:
    return value if path in value else f"{path} ({value})"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _quarantine(results: list[Result]) -> dict[str, str]:
    """Reason by path of the images to take out."""
    reasons: dict[str, str] = {}
    for expectation, result in results:
        if expectation.quarantine:
            for path, value in _offenders(expectation, result):
                reasons.setdefault(path, f"{expectation.name}: expected {expectation.expected}, found {value}")
    return reasons


def _gate_row(expectation: Expectation, result: dict[str, Any], figures: dict[str, float]) -> GateRow:
    offenders = _offenders(expectation, result)
    if expectation.column in figures:
        observed = f"{figures[expectation.column]:.3g}"
    else:
        observed = f"{len(offenders):,} of {result['result'].get('element_count', 0):,} images"
    return GateRow(
        name=expectation.name,
        severity=expectation.severity,
        passed=bool(result["success"]),
        expected=expectation.expected,
        observed=observed,
        files=tuple(dict.fromkeys(_named_with(path, value) for path, value in offenders))[:SHOWN],
    )
