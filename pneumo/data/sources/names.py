"""Patient and subtype from file names of known data sets, and splits from the names that people give them."""

import re
from collections.abc import Sequence
from posixpath import basename, splitext

from pneumo.errors import DataError

# Kaggle numbers bacterial, viral and two series of normal patients separately: the number alone is not unique.
PATTERNS = (
    (re.compile(r"person(\d+)_(bacteria|virus)_\d+", re.IGNORECASE), "{1}-{0}"),
    (re.compile(r"NORMAL2-IM-(\d+)-", re.IGNORECASE), "NORMAL2-IM-{0}"),
    (re.compile(r"IM-(\d+)-", re.IGNORECASE), "IM-{0}"),
    # NIH ChestX-ray: <patient>_<follow-up>, of 30,805 patients. Eight digits alone may be a date, which is no patient.
    (re.compile(r"(000\d{5})_\d{3}$"), "NIH-{0}"),
)
SPLITS = {  # without case, spaces, - and _; a validation folder is pooled with train, and validation is split off anew
    **dict.fromkeys(("train", "training", "tr", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "train"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
}


def patient_of(path: str) -> str | None:
    """Patient of an image by its file name; None if the name is of no known form."""
    stem = stem_of(path)
    for pattern, key in PATTERNS:
        if found := pattern.match(stem):
            return key.format(*(part.lower() for part in found.groups()))
    return None


def patient_by(pattern: str | None, path: str) -> str | None:
    """Patient by the group `patient` of a regular expression, searched in a relative path; None without a match."""
    found = re.search(pattern, path) if pattern else None
    return (found and found.group("patient")) or None


def tells_patient(path: str, patient: str) -> bool:
    """Whether a patient was known, for manifests without that column: an unknown one has the name of its file."""
    return patient_of(path) is not None or patient != stem_of(path)


def subtype_of(path: str, label: str) -> str:
    """Subtype of a pneumonia by its file name: bacteria, virus or none."""
    found = PATTERNS[0][0].match(stem_of(path))
    return found.group(2).lower() if found and label == "PNEUMONIA" else "none"


def split_of(name: str) -> str | None:
    """Split, train or test, by the name that a folder or a label file gives it; None if it is no split."""
    return SPLITS.get(re.sub(r"[\s_-]+", "", name).lower())


def split_of_folders(folders: Sequence[str]) -> str | None:
    """Split, train or test, by any folder above a file; None if none of them is a split.

    Raises:
        DataError: there is one of each.
    """
    found = {split: name for name in folders if (split := split_of(name))}
    if len(found) > 1:
        raise DataError(
            f"Expected one split above an image, but the path {'/'.join(folders)!r} has {found['train']!r} and"
            f" {found['test']!r}: move these images to one of them."
        )
    return next(iter(found), None)


def stem_of(path: str) -> str:
    """Name of a file without its suffix."""
    return splitext(basename(path))[0]
