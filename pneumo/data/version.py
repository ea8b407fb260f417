"""Dataset versions: accepted rows with their split, immutable, known by their digest on any machine."""

import hashlib
from pathlib import Path

import pandas as pd

from pneumo.data.splits import assign_splits
from pneumo.stages import DatasetVersion, GateReport, Inventory, written_once

IDENTITY = ["path", "sha256", "label", "subtype", "patient", "split"]
MANIFEST, RECORD = "manifest.parquet", "version.json"


def make_version(inventory: Inventory, report: GateReport, home: Path) -> DatasetVersion:
    """Cut the accepted rows of an inventory into splits and fix them as a version.

    Raises:
        DataError: a patient would be in two splits, or too few patients to cut.
    """
    manifest = pd.read_parquet(inventory.manifest)
    quarantined = set(pd.read_csv(report.quarantine, dtype=str, keep_default_na=False)["path"])
    accepted = manifest[~manifest["path"].isin(quarantined)].sort_values("path", ignore_index=True)
    accepted = accepted.drop(columns="error")
    accepted["folder"] = accepted["split"]
    accepted["split"] = assign_splits(accepted)
    return keep_version(accepted, inventory, home)


def keep_version(manifest: pd.DataFrame, inventory: Inventory, home: Path) -> DatasetVersion:
    """Write a manifest under its digest, once, and return its record."""
    digest = digest_of(manifest)
    folder = version_folder(home, digest)
    version = DatasetVersion(
        digest=digest,
        source=inventory.source,
        synthetic=inventory.synthetic,
        root=inventory.root,
        manifest=folder / MANIFEST,
        images=len(manifest),
        counts=count(manifest),
    )
    if not folder.is_dir():
        with written_once(folder) as scratch:
            manifest.to_parquet(scratch / MANIFEST, index=False)
            (scratch / RECORD).write_text(version.model_dump_json(indent=1))
    return version


def version_folder(home: Path, digest: str) -> Path:
    """Where a version lies."""
    return home / "cache" / "split" / digest[:16]


def digest_of(manifest: pd.DataFrame) -> str:
    """SHA-256 over the rows' identity, in order of path; the same rows give the same digest on any machine."""
    rows = manifest.sort_values("path")[IDENTITY].itertuples(index=False)
    lines = ("\0".join(map(str, row)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def count(manifest: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Images by split and label."""
    return {
        str(split): {str(label): int(images) for label, images in rows["label"].value_counts().sort_index().items()}
        for split, rows in manifest.groupby("split")
    }
