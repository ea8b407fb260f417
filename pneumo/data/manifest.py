"""The manifest: one row per image, from a listing of files."""

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo.data.dicom import patient_secret
from pneumo.data.filecache import FileCache, Stamp
from pneumo.data.folders import Entry, Listing
from pneumo.data.measure import SIZE, Row, measure
from pneumo.data.names import patient_of, subtype_of
from pneumo.data.shelf import BLOCK, Shelf
from pneumo.stages import code_version

FIXED = ("path", "sha256", "label", "subtype", "patient", "width", "height", "mode", "split")
STATISTICS = ("mean", "std", "dark", "bright", "border", "symmetry", "marker", "histogram", "pixels", "phash")
COLUMNS = [*FIXED, "bytes", "error", *STATISTICS]


def workers() -> int:
    """Threads for reading and decoding; Pillow and hashlib release the interpreter lock."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build_manifest(listing: Listing, home: Path) -> pd.DataFrame:
    """Manifest of a listing, rows sorted by path; only new and changed files are read.

    Pixels of the files that are read are kept on the shelf for `images.decode_all`.
    """
    secret = patient_secret(home)
    code = code_version("data/measure.py", "data/decode.py", "data/dicom.py") + sha256(secret).hexdigest()[:8]
    cache = FileCache(home / "cache" / "files.sqlite", code)
    stamps = {entry.path: Stamp.of(listing.root / entry.path) for entry in listing.entries}
    known = cache.get(stamps.values())
    missing = [entry for entry in listing.entries if stamps[entry.path].path not in known]
    with ThreadPoolExecutor(workers()) as pool:
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            rows = _measure_block(block, listing.root, home, secret, pool)
            cache.put((stamps[entry.path], row) for entry, row in zip(block, rows, strict=True))
            known |= {stamps[entry.path].path: row for entry, row in zip(block, rows, strict=True)}
    return as_frame([manifest_row(entry, known[stamps[entry.path].path]) for entry in listing.entries])


def _measure_block(block: list[Entry], root: Path, home: Path, secret: bytes, pool: ThreadPoolExecutor) -> list[Row]:
    measured = list(pool.map(lambda entry: measure(root / entry.path, entry.path, secret), block))
    rows = {row["sha256"]: pixels for row, pixels in measured if pixels is not None}
    if rows:
        Shelf(home, SIZE, "squash").put(list(rows), np.stack(list(rows.values())))
    return [row for row, _ in measured]


def manifest_row(entry: Entry, measured: Row) -> Row:
    """One manifest row; what the listing says about patient and subtype goes before the file's name."""
    return measured | {
        "path": entry.path,
        "label": entry.label,
        "subtype": entry.subtype or subtype_of(entry.path, entry.label),
        "patient": entry.patient or measured.get("patient") or patient_of(entry.path),
        "split": entry.split,
    }


def as_frame(rows: list[Row]) -> pd.DataFrame:
    """Manifest table with every column present; width and height are 0 where a file is unreadable."""
    frame = pd.DataFrame(rows, columns=COLUMNS).astype({"mode": "object", "error": "object"})
    frame = frame.fillna({"width": 0, "height": 0, "mode": ""})
    return frame.astype({"width": "int64", "height": "int64", "bytes": "int64", "mode": "str"})
