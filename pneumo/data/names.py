"""Who is on the picture: patient and subtype from file names of known sets."""

import re
from posixpath import basename, splitext

# Kaggle numbers bacterial, viral and two series of normal patients separately: the number alone collides.
PATTERNS = (
    (re.compile(r"person(\d+)_(bacteria|virus)_\d+", re.IGNORECASE), "{1}-{0}"),
    (re.compile(r"NORMAL2-IM-(\d+)-", re.IGNORECASE), "NORMAL2-IM-{0}"),
    (re.compile(r"IM-(\d+)-", re.IGNORECASE), "IM-{0}"),
    (re.compile(r"(\d{8})_\d{3}$"), "NIH-{0}"),  # NIH ChestX-ray: <patient>_<follow-up>
)


def patient_of(path: str) -> str:
    """Patient of an image by its file name; a name of no known pattern is a patient of its own."""
    stem = _stem(path)
    for pattern, key in PATTERNS:
        if found := pattern.match(stem):
            return key.format(*(part.lower() for part in found.groups()))
    return stem


def subtype_of(path: str, label: str) -> str:
    """Subtype of a pneumonia by its file name: bacteria, virus or none."""
    found = PATTERNS[0][0].match(_stem(path))
    return found.group(2).lower() if found and label == "PNEUMONIA" else "none"


def _stem(path: str) -> str:
    return splitext(basename(path))[0]
