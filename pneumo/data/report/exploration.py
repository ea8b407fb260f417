"""The exploration report: one self-contained page on a dataset version, for readers who know X-rays."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.files import tells_disk_errors
from pneumo.data.quality import two_sample_test
from pneumo.data.report import charts, examples
from pneumo.data.store.decoded_rows import Shelf
from pneumo.data.store.image_store import read_rows
from pneumo.records.data import DatasetVersion, GateReport, ShiftAudit

PAGE = "report.html"
TEMPLATES = Path(__file__).parents[1] / "templates"
SAMPLE = 300  # images of a class in its mean picture; more make no visible difference
LISTED = 30


@tells_disk_errors
def report(version: DatasetVersion, gate_report: GateReport, home: Path) -> Path:
    """Write the page (HTML with its pictures, under 3 MB) and return its path."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    code = code_version("data", "data/templates/report.html.j2")
    key = stage_key("explore", digest=version.digest, gate=gate_report.key, code=code)
    folder = home / "cache" / "explore" / key
    if not is_kept(folder):
        environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
        page = environment.get_template("report.html.j2").render(_content(version, gate_report, home))
        with written_once(folder) as scratch:
            (scratch / PAGE).write_text(page, encoding="utf-8")
    return folder / PAGE


def _content(version: DatasetVersion, gate: GateReport, home: Path) -> dict[str, Any]:
    manifest = pd.read_parquet(version.manifest)
    groups, identical, similar = examples.duplicates(manifest, version.root)
    shift = _shift(manifest)
    quarantine = pd.read_csv(gate.quarantine, dtype=str, keep_default_na=False)
    failed = [row for row in gate.rows if not row.passed]
    return {
        "version": version,
        "facts": _facts(manifest),
        "errors": [row for row in failed if row.severity == "error"],
        "warnings": [row for row in failed if row.severity == "warning"],
        "passed": [row for row in gate.rows if row.passed],
        "counts": charts.counts_chart(manifest),
        "shift": shift,
        "shift_words": two_sample_test.sentences(shift),
        "patients": charts.patients_chart(manifest),
        "intensities": charts.intensity_chart(manifest),
        "sizes": charts.size_chart(manifest),
        "means": charts.means_chart(*(_mean(manifest, label, version, home) for label in ("NORMAL", "PNEUMONIA"))),
        "examples": examples.examples(manifest, version.root),
        "sample": SAMPLE,
        "oddest": examples.oddest(manifest, version.root),
        "duplicates": groups,
        "identical": identical,
        "similar": similar,
        "quarantined": quarantine.head(LISTED).to_dict("records"),
        "quarantined_more": max(0, len(quarantine) - LISTED),
    }


def _facts(manifest: pd.DataFrame) -> dict[str, Any]:
    """The numbers in the page's sentences."""
    sick = manifest["label"] == "PNEUMONIA"
    per_patient = manifest.groupby("patient").size()
    sizes = manifest[["width", "height"]].drop_duplicates()
    return {
        "images": len(manifest),
        "patients": len(per_patient),
        "pneumonia": float(sick.mean()),
        "subtypes": manifest.loc[sick, "subtype"].value_counts().to_dict(),
        "most_images": int(per_patient.max()),
        "one_image": float((per_patient == 1).mean()),
        "one_size": tuple(sizes.iloc[0]) if len(sizes) == 1 else None,
        "width": (int(manifest["width"].min()), int(manifest["width"].median()), int(manifest["width"].max())),
        "height": (int(manifest["height"].min()), int(manifest["height"].median()), int(manifest["height"].max())),
        "modes": pd.crosstab(manifest["mode"], manifest["label"]).to_dict("index"),
        "brightness": manifest.groupby("label")["mean"].mean().to_dict(),
    }


def _shift(manifest: pd.DataFrame) -> ShiftAudit:
    test = manifest["split"] == "test"
    return two_sample_test.audit_manifests("test", manifest[manifest["split"] == "train"], manifest[test])


def _mean(manifest: pd.DataFrame, label: str, version: DatasetVersion, home: Path) -> NDArray[np.float64]:
    rows = manifest[manifest["label"] == label].sort_values("sha256").head(SAMPLE)
    pixels = read_rows(rows, version.root, Shelf(home, 224, "squash"))
    mean: NDArray[np.float64] = pixels.mean(axis=0, dtype=np.float64)
    return mean
