"""How and of whom a DICOM image was taken, in words so coarse that they tell nobody: columns of the manifest.

Free text never leaves the file: manufacturers are words of a table, ages are bands of ten years, the last one open as
in HIPAA's rule (45 CFR 164.514(b)(2)(i)(C)).
"""

import re
from typing import Any

from pneumo.data.dicom.modality_body_part_view import modality_of, view_of

COLUMNS = ("modality", "view", "manufacturer", "age", "sex")
BAND, OLDEST = 10, 90  # years
UNITS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}  # of an age, in years
MANUFACTURERS = (  # beginnings of a word, or a word of two letters, of what the header says
    "SIEMENS", "PHILIPS", "FUJI", "AGFA", "CARESTREAM", "KODAK", "KONICA", "CANON", "TOSHIBA", "SAMSUNG", "SHIMADZU",
    "HOLOGIC", "MINDRAY", "DRGEM", "VIEWORKS", "RAYENCE", "SWISSRAY", "LODOX", "DELFT", "HITACHI", "GE",
)  # fmt: skip


def describe(dataset: Any) -> dict[str, str]:
    """A word for each of `COLUMNS`, empty where the header does not say; for the header of an image that passed."""
    return {
        "modality": modality_of(dataset),
        "view": view_of(dataset),
        "manufacturer": _manufacturer(str(dataset.get("Manufacturer") or "")),
        "age": _band(str(dataset.get("PatientAge") or "")),
        "sex": sex if (sex := str(dataset.get("PatientSex") or "").strip().upper()) in ("F", "M", "O") else "",
    }


def elements(facts: dict[str, str]) -> dict[str, str]:
    """The same as elements of a DICOM header, by keyword, from which `describe` reads it again."""
    age = facts["age"].strip("+").partition("-")[0]
    told = {
        "Modality": facts["modality"],
        "ViewPosition": facts["view"].upper(),
        "Manufacturer": facts["manufacturer"],
        "PatientAge": f"{int(age):03}Y" if age else "",
        "PatientSex": facts["sex"],
    }
    return {keyword: value for keyword, value in told.items() if value}


def _manufacturer(told: str) -> str:
    words = re.findall(r"\w+", told.upper())
    known = (name for name in MANUFACTURERS if any(word == name or word.startswith(f"{name:3}") for word in words))
    return next(known, "other") if words else ""


def _band(told: str) -> str:
    """Such as 60-69 for 064Y; 90+ from 90 on."""
    if not (found := re.fullmatch(r"\s*(\d{1,3})([DWMY])\s*", told)):
        return ""
    low = int(int(found[1]) * UNITS[found[2]]) // BAND * BAND
    return f"{OLDEST}+" if low >= OLDEST else f"{low}-{low + BAND - 1}"
