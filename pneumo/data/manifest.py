"""The manifest: one row for each image, from a listing of files."""

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.cache import code_version
from pneumo.data.dicom import acquisition
from pneumo.data.file_cache import FileCache, Stamp
from pneumo.data.image_statistics import SIZE, Row, measure, statistics
from pneumo.data.parallel import BLOCK, in_blocks
from pneumo.data.privacy.pseudonyms import patient_secret, pseudonym
from pneumo.data.sources.folders import Entry, Listing
from pneumo.data.sources.names import patient_by, patient_of, stem_of, subtype_of
from pneumo.data.store.decoded_rows import Shelf
from pneumo.data.store.deidentified_copies import Held
from pneumo.errors import DataError
from pneumo.records.dicom_modalities import MODALITIES

FIXED = ("path", "sha256", "label", "subtype", "patient", "width", "height", "mode", "split")
STATISTICS = ("mean", "std", "dark", "bright", "border", "symmetry", "marker", "histogram", "pixels", "phash")
COLUMNS = [*FIXED, "patient_known", "unissued", "bytes", "error", "other_image", *acquisition.COLUMNS, *STATISTICS]


Measured = tuple[Row, NDArray[np.uint8] | None]
# The patient of each image by the label file, the pattern, and header or name: the first that tells it counts.
Told = dict[Entry, tuple[str | None, str | None, str | None]]
CODE = (
    *("data/image_statistics.py", "data/store/decode.py", "data/dicom/__init__.py", "data/dicom/frames.py"),
    *("data/gray_levels.py", "data/privacy/dicom_identity.py"),
    *("data/dicom/modality_body_part_view.py", "data/dicom/acquisition.py"),
    *("data/privacy/pseudonyms.py", "data/privacy/identifying_paths.py"),
)


def build_manifest(
    listing: Listing, home: Path, patient_pattern: str | None = None, modalities: Collection[str] = MODALITIES
) -> pd.DataFrame:
    """Manifest of a listing, rows sorted by path; only new and changed files are read.

    `patient_pattern` and `modalities` as in `settings.data.Data`; `patient_known` is False where an image counts as a
    patient of its own. Patients from label files and from the pattern become pseudonyms; those of a dataset version are
    pseudonyms already.

    Pixels of the files that are read are kept for `image_store.decode_all`. Where a de-identified copy replaces an
    original, `sha256` is that of the original.

    Raises:
        DataError: DICOM files are named after their patients, or a label file or the pattern gives the patient for some
            images of a patient only.
    """
    secret = patient_secret(home)
    # A row says whether its path below the root names a patient, so a row is valid for one root only.
    code = code_version(*CODE) + sha256(secret + bytes(listing.root)).hexdigest()[:8] + ",".join(sorted(modalities))
    cache = FileCache(home / "cache" / "files.sqlite", code)
    stamps = {entry.path: Stamp.of(listing.root / entry.path) for entry in listing.entries}
    known = cache.get(stamps.values())
    missing = [entry for entry in listing.entries if stamps[entry.path].path not in known]
    shelf = Shelf(home, SIZE, "squash")

    held = Held(listing.root, home)

    def original(entry: Entry, row: Row) -> str:
        return held.original(entry.path, row["sha256"])

    def work(entries: Sequence[Entry]) -> list[Measured]:
        return measure_all(entries, listing.root, secret, modalities)

    for block, measured in in_blocks(work, missing, BLOCK):
        pairs = zip(block, measured, strict=True)
        shelf.put({original(entry, row): pixels for entry, (row, pixels) in pairs if pixels is not None})
        rows = {stamps[entry.path]: row for entry, (row, _) in zip(block, measured, strict=True)}
        cache.put(rows)
        known |= {stamp.path: row for stamp, row in rows.items()}
    _refuse_names(listing.root, [known[stamp.path] for stamp in stamps.values()])
    measured_of = dict(
        zip(listing.entries, _of_one_issuer([known[stamp.path] for stamp in stamps.values()]), strict=True)
    )
    named = {entry: row | {"sha256": original(entry, row)} for entry, row in measured_of.items()}
    _refuse_missing_patients(named, patient_pattern)
    hide = None if listing.version else secret
    return as_frame([manifest_row(entry, row, patient_pattern, hide) for entry, row in named.items()])


def _refuse_missing_patients(rows: Mapping[Entry, Row], patient_pattern: str | None) -> None:
    """An image whose patient is told in another way than for others of the same patient would be of a second one."""
    told: Told = {
        entry: (entry.patient, patient_by(patient_pattern, entry.path), _read_patient(entry, row))
        for entry, row in rows.items()
    }
    missing = [entry.path for way in (1, 2) for entry in _told_otherwise(told, way)]
    if missing:
        labels = any(entry.patient for entry in rows)
        teller, lack = ("the label file", "an empty cell") if labels else ("data.patient_pattern", "no match")
        raise DataError(
            f"Expected {teller} to give the patient in all rows of a patient, but {missing[0]} and"
            f" {len(missing) - 1} others have {lack}, though by name or header their patient is one that"
            f" other rows give: {'fill in these cells' if labels else 'widen the pattern'}."
        )


def _told_otherwise(told: Told, way: int) -> list[Entry]:
    """Entries whose patient is told in this way, while for others with the same patient one before it counts."""
    given = {ways[way] for ways in told.values() if any(ways[:way])} - {None}
    return [entry for entry, ways in told.items() if not any(ways[:way]) and ways[way] in given]


def _refuse_names(root: Path, rows: list[Row]) -> None:
    if named := sum(bool(row.get("named")) for row in rows):
        raise DataError(
            f"Expected paths that identify nobody, but {named} DICOM files in {root} are named after their patient:"
            " rename files and folders, since paths go into manifests and logs; if these are pseudonyms, set"
            " PatientIdentityRemoved to YES in the files."
        )


def _of_one_issuer(rows: list[Row]) -> list[Row]:
    """Rows in which a patient whose issuer only some files name is one patient: else one may be in two splits."""
    unissued = {row["patient"] for row in rows if row.get("patient") and row["patient"] == row["unissued"]}
    return [row | {"patient": row["unissued"]} if row.get("unissued") in unissued else row for row in rows]


def measure_all(entries: Sequence[Entry], root: Path, secret: bytes, modalities: Collection[str]) -> list[Measured]:
    """The row and the pixels of each entry; see `measure` and `statistics`."""
    measured = [measure(root / entry.path, entry.path, secret, modalities) for entry in entries]
    readable = [(row, pixels) for row, pixels in measured if pixels is not None]
    if readable:
        for (row, _), found in zip(readable, statistics(np.stack([pixels for _, pixels in readable])), strict=True):
            row |= found
    return measured


def manifest_row(entry: Entry, measured: Row, patient_pattern: str | None, secret: bytes | None) -> Row:
    """One manifest row; the patient is taken from the listing, else the pattern, the DICOM header, or the file's name.

    The first two may identify a person: where `secret` is given, a pseudonym replaces what they say.
    """
    told = entry.patient or patient_by(patient_pattern, entry.path)
    hidden = pseudonym("patient", told, secret) if told and secret else told
    patient = hidden or _read_patient(entry, measured)
    return measured | {
        "path": entry.path,
        "label": entry.label,
        "subtype": entry.subtype or subtype_of(entry.path, entry.label),
        "patient": patient or stem_of(entry.path),
        "patient_known": patient is not None and entry.patient_known,
        "unissued": entry.unissued or _read_unissued(patient, measured),
        "split": entry.split,
    }


def _read_patient(entry: Entry, measured: Row) -> str | None:
    """The patient by the DICOM header or by the file's name."""
    return measured.get("patient") or patient_of(entry.path)


def _read_unissued(patient: str | None, measured: Row) -> str:
    """Pseudonym of the header's identifier without its issuer, where the patient is the header's; else nothing."""
    headers = {measured.get("patient"), measured.get("unissued")} - {None}
    return str(measured["unissued"]) if patient in headers else ""


def as_frame(rows: list[Row]) -> pd.DataFrame:
    """The manifest as a table with all `COLUMNS`; width and height are 0 where a file is unreadable."""
    texts = dict.fromkeys(("mode", "unissued", *acquisition.COLUMNS), "")
    frame = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys((*texts, "error", "other_image"), "object"))
    frame = frame.fillna({"width": 0, "height": 0} | texts)
    return frame.astype({"width": "int64", "height": "int64", "bytes": "int64"} | dict.fromkeys(texts, "str"))
