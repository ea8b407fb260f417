"""What is told of an image, and which DICOM objects tell it."""

import importlib.util
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from pneumo.errors import ServiceError
from pneumo.records.base import Record

if TYPE_CHECKING:
    from pydicom import Dataset

WARNING = "Research only, not for diagnosis"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "pneumo/results")
COPIED = (  # whose study it is, and which image the result is of
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID",
    "PatientOrientation", "BurnedInAnnotation",
)  # fmt: skip
LONGEST = 64  # characters of a long string (PS3.5, 6.2)


class Result(Record):
    """A model's answer for an image; `model_sha256` is that of its network."""

    probability: float
    threshold: float
    label: str
    out_of_distribution: bool
    model: str
    version: str
    model_sha256: str


class Place(NamedTuple):
    """The UIDs of a DICOM object that tells a result."""

    series: str
    uid: str


def place_of(kind: str, image_uid: str, result: Result, asked: float | None = None) -> Place:
    """The same for the same image and version, whoever makes it and when, so that an archive has it once.

    `asked` is a threshold other than the version's own: by it the label may be another one.
    """
    own = [kind, image_uid, result.model, result.version, result.model_sha256]
    own += [] if asked is None else [repr(float(asked))]
    return Place(derived_uid("series", *own), derived_uid("instance", *own))


def derived_uid(*texts: str) -> str:
    """A UID of texts: a UUID (PS3.5, B.2) of version 5 (RFC 9562)."""
    return f"2.25.{uuid.uuid5(NAMESPACE, chr(0).join(texts)).int}"


def common_elements(result: Result, place: Place, series_number: int) -> dict[str, Any]:
    """What highdicom is told of every object: its place, who made it, and what its series is called."""
    return {
        "series_instance_uid": place.series,
        "series_number": series_number,
        "sop_instance_uid": place.uid,
        "instance_number": 1,
        "manufacturer": "pneumo",
        "manufacturer_model_name": result.model[:LONGEST],
        "software_versions": result.version,
        "series_description": f"pneumo: {WARNING}",
        "specific_character_set": "ISO_IR 192",  # UTF-8
    }


def study_of(header: "Dataset") -> "Dataset":
    """What a result takes over from the header of its image; an element that is not there is empty."""
    from pydicom import Dataset

    taken = Dataset()
    for keyword in COPIED:
        setattr(taken, keyword, header.get(keyword))
    return taken


def require_highdicom() -> None:
    """Check that results can be written, before anything is scored.

    Raises:
        ServiceError: highdicom is not installed.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise ServiceError(
            "Expected highdicom to send results back, but it is not installed: run `pip install highdicom`."
        )
