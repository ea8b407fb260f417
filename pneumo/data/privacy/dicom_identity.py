"""Whose picture a DICOM file holds, as a pseudonym, and whether its path gives the patient away."""

from typing import Any, NamedTuple

from pneumo.data.dicom import read, without_values, yes_or_no
from pneumo.data.privacy.identifying_paths import names_patient
from pneumo.data.privacy.pseudonyms import pseudonym
from pneumo.errors import DataError

LAST_OF_PATIENT = 0x0012  # group of the elements that say who it is; PatientIdentityRemoved is in it
OTHERS = ("AccessionNumber", "OtherPatientIDs")  # by which others know whose the picture is


class Identity(NamedTuple):
    """`patient` is a keyed hash (HMAC-SHA-256) of identifier and issuer, None where the file names no patient.

    `unissued` is what it would be without the issuer, `named` whether the file's own path identifies the patient.
    """

    patient: str | None
    named: bool
    unissued: str | None


def identify(data: bytes, name: str, secret: bytes) -> Identity:
    """The patient's pseudonym, and whether the file's own path identifies the patient.

    It does where `name` holds a part of the patient's name, an identifier, the accession number of the examination or
    the date of birth (`names_patient`), and the header does not say that identities were removed. What follows in the
    file may be broken.

    Raises:
        DataError: the header is broken.
    """
    wanted = ["PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate"]

    def told(reason: str) -> DataError:
        return DataError(f"Expected a DICOM header, but that of {name} cannot be read ({reason}): take it out.")

    with without_values(told):
        dataset = read(data, LAST_OF_PATIENT)
        identifier, issuer, person, birth = (str(dataset.get(tag) or "").strip() for tag in wanted)
        numbers = {identifier, *(number.strip() for tag in OTHERS for number in _several(dataset.get(tag)))}
        removed = yes_or_no(dataset, "PatientIdentityRemoved") == "YES"
    named = not removed and any(names_patient(name, person, number, birth) for number in numbers)
    patient, unissued = (
        pseudonym("dicom", f"{by}\0{identifier}", secret) if identifier else None for by in (issuer, "")
    )
    return Identity(patient, named, unissued)


def _several(value: Any) -> list[str]:
    """The texts of an element that may have none, one or several."""
    return [value] if isinstance(value, str) else list(map(str, value or ()))
