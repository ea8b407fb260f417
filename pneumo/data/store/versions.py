"""Dataset versions: accepted rows with their split, immutable, with the same digest on any machine."""

import hashlib
import io
from pathlib import Path

import pandas as pd
from pyarrow import parquet
from pydantic import ValidationError

from pneumo.cache import is_kept, written_once
from pneumo.data.files import sha256_of, tells_disk_errors, write_whole
from pneumo.data.sources.folders import Entry
from pneumo.data.sources.names import tells_patient
from pneumo.data.splits import assign_splits
from pneumo.errors import DataError
from pneumo.records.data import DatasetVersion, GateReport, Inventory

IDENTITY = ["path", "sha256", "label", "subtype", "patient", "split"]
MANIFEST, RECORD = "manifest.parquet", "version.json"


@tells_disk_errors
def make_version(inventory: Inventory, report: GateReport, home: Path) -> DatasetVersion:
    """Split the accepted rows of an inventory and write them as a version.

    Raises:
        DataError: a patient would be in two splits, there are too few patients, or it is not the version asked for.
    """
    manifest = pd.read_parquet(inventory.manifest)
    quarantined = set(pd.read_csv(report.quarantine, dtype=str, keep_default_na=False)["path"])
    accepted = manifest[~manifest["path"].isin(quarantined)].sort_values("path", ignore_index=True)
    accepted = accepted.drop(columns=["error", "other_image"])
    accepted["folder"] = accepted["split"]
    accepted["split"] = assign_splits(accepted)
    _require_same(inventory, digest_of(accepted))
    return keep_version(accepted, inventory.source, inventory.synthetic, inventory.root, home)


def _require_same(inventory: Inventory, digest: str) -> None:
    if inventory.version not in (None, digest):
        raise DataError(
            f"Expected version {inventory.version} again, but its images in {inventory.root} give {digest[:12]}: they"
            " or the gate's settings were changed; bring in the original source anew, or restore them."
        )


def keep_version(manifest: pd.DataFrame, source: str, synthetic: bool, root: Path, home: Path) -> DatasetVersion:
    """Write a manifest under its digest, once, and return its record."""
    digest = digest_of(manifest)
    folder = version_folder(home, digest)
    version = DatasetVersion(
        digest=digest,
        source=source,
        synthetic=synthetic,
        root=root,
        manifest=folder / MANIFEST,
        images=len(manifest),
        counts=count(manifest),
    )
    if not is_kept(folder / MANIFEST):
        with written_once(folder) as scratch:
            manifest.to_parquet(scratch / MANIFEST, index=False)
            (scratch / RECORD).write_text(version.model_dump_json(indent=1))
        return version
    if _read_record(folder) != version:  # the same data set in another folder
        write_whole(folder / RECORD, version.model_dump_json(indent=1).encode())
    _describe_anew(folder / MANIFEST, manifest)
    return version


def _describe_anew(kept: Path, manifest: pd.DataFrame) -> None:
    """What is said last of the same images counts, unless it lacks columns: then an earlier pneumo tells less of them.

    An equal manifest is not written again, so that the version's `description_key` stays the same.
    """
    if set(parquet.read_schema(kept).names) - set(manifest.columns):
        return
    content = manifest.to_parquet(index=False)
    if not pd.read_parquet(kept).equals(pd.read_parquet(io.BytesIO(content))):
        write_whole(kept, content)


def description_key(version: DatasetVersion) -> str:
    """Key of all that the manifest says of the images, sex and statistics too, which the digest does not cover.

    Stages whose result depends on more than path, label, subtype, patient and split have it in their own key.
    """
    return sha256_of(version.manifest)


def list_versions(home: Path) -> list[DatasetVersion]:
    """Versions made or pulled here, oldest first."""
    folders = sorted(
        (home / "cache" / "split").glob(f"[!.]*/{RECORD}"), key=lambda file: file.parent.stat().st_ctime_ns
    )
    return [_read_record(file.parent) for file in folders]


def find_version(home: Path, digest: str) -> DatasetVersion:
    """The version whose digest begins with `digest`.

    Raises:
        DataError: there is none, or several.
    """
    known = list_versions(home)
    found = [version for version in known if version.digest.startswith(digest)]
    if len(found) != 1:
        names = ", ".join(version.digest[:12] for version in known) or "none"
        raise DataError(f"Expected one version {digest!r}, but {len(found)} match; there are: {names}.")
    return found[0]


def _read_record(folder: Path) -> DatasetVersion:
    try:
        return DatasetVersion.model_validate_json((folder / RECORD).read_text())
    except ValidationError:
        raise DataError(
            f"Expected a data set's record that this pneumo can read in {folder / RECORD}, but it has another form: a"
            " newer pneumo may have written it; install that, or remove the folder and read the source anew."
        ) from None


def version_folder(home: Path, digest: str) -> Path:
    """The folder of a version."""
    return home / "cache" / "split" / digest[:16]


def home_of(version: DatasetVersion) -> Path:
    """The state folder in which a version was made or pulled."""
    return version.manifest.parents[3]


def digest_of(manifest: pd.DataFrame) -> str:
    """SHA-256 over path, sha256, label, subtype, patient and split of the rows, in order of path."""
    rows = manifest.sort_values("path")[IDENTITY].itertuples(index=False)
    lines = ("\0".join(map(str, row)) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def count(manifest: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Number of images by split and label."""
    return {
        str(split): {str(label): int(images) for label, images in rows["label"].value_counts().sort_index().items()}
        for split, rows in manifest.groupby("split")
    }


def entries_of(version: DatasetVersion) -> list[Entry]:
    """The files of a version as entries of a listing, with what is known of them."""
    manifest = pd.read_parquet(version.manifest)
    if "patient_known" not in manifest:  # manifests of older versions lack it
        told = [tells_patient(*pair) for pair in zip(manifest["path"], manifest["patient"], strict=True)]
        manifest["patient_known"] = told
    if "unissued" not in manifest:
        manifest["unissued"] = ""
    named = [*manifest[["path", "label", "folder", "subtype", "patient"]].astype(str).to_numpy().T]
    rest = [manifest[name].tolist() for name in ("patient_known", "unissued")]
    return [Entry(*row) for row in zip(*named, *rest, strict=True)]
