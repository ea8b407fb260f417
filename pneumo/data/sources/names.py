"""What names tell: patient and subtype from file names of known sets, splits as people spell them."""

import re
from collections.abc import Sequence
from posixpath import basename, splitext

from pneumo.errors import DataError

# Kaggle numbers bacterial, viral and two series of normal patients separately: the number alone collides.
PATTERNS = (
    (re.compile(r"person(\d+)_(bacteria|virus)_\d+", re.IGNORECASE), "{1}-{0}"),
    (re.compile(r"NORMAL2-IM-(\d+)-", re.IGNORECASE), "NORMAL2-IM-{0}"),
    (re.compile(r"IM-(\d+)-", re.IGNORECASE), "IM-{0}"),
    (re.compile(r"(\d{8})_\d{3}$"), "NIH-{0}"),  # NIH ChestX-ray: <patient>_<follow-up>
)
SPLITS = {  # as people spell them, without case, spaces, - and _; validation chooses nothing: it is pooled with train
    **dict.fromkeys(("train", "training", "tr", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "train"),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), "test"),
}


def patient_of(path: str) -> str | None:
    """Patient of an image by its file name; None for a name of no known kind."""
    stem = stem_of(path)
    for pattern, key in PATTERNS:
        if found := pattern.match(stem):
            return key.format(*(part.lower() for part in found.groups()))
    return None


def patient_by(pattern: str | None, path: str) -> str | None:
    """Patient by the group `patient` of a regular expression, sought anywhere in a relative path; None if not there."""
    found = re.search(pattern, path) if pattern else None
    return (found and found.group("patient")) or None


def tells_patient(path: str, patient: str) -> bool:
    """Whether a patient was known, in manifests that do not say so: else it is called after a file of unknown kind."""
    return patient_of(path) is not None or patient != stem_of(path)


def subtype_of(path: str, label: str) -> str:
    """Subtype of a pneumonia by its file name: bacteria, virus or none."""
    found = PATTERNS[0][0].match(stem_of(path))
    return found.group(2).lower() if found and label == "PNEUMONIA" else "none"


def split_of(name: str) -> str | None:
    """Train or test by what a folder or a label file calls a split; None for a name that is none."""
    return SPLITS.get(re.sub(r"[\s_-]+", "", name).lower())


def split_of_folders(folders: Sequence[str]) -> str | None:
    """Train or test by the folders above a file, wherever they stand; None where none of them is a split.

    Raises:
        DataError: they say both.
    """
    found = {split: name for name in folders if (split := split_of(name))}
    if len(found) > 1:
        raise DataError(
            f"Expected one split above an image, but the path {'/'.join(folders)!r} has {found['train']!r} and"
            f" {found['test']!r}: move these images to one of them."
        )
    return next(iter(found), None)


def stem_of(path: str) -> str:
    """Name of a file without its ending."""
    return splitext(basename(path))[0]
