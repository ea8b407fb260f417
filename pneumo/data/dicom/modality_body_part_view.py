"""Whether a DICOM image is a chest X-ray from the front, by what its header says; where that is silent it is let in.

Words are told in errors only where they are terms of the standard: a hospital's own may name somebody.
"""

import re
from collections.abc import Collection
from typing import Any

from pneumo.records.dicom_modalities import UNSTATED


def _terms(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


# By SOP class, where the modality itself was taken out of the file.
MODALITY_OF = {
    "1.2.840.10008.5.1.4.1.1.1": "CR",
    "1.2.840.10008.5.1.4.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "DX",
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
}
TERMS = _terms(  # of modalities, PS3.3, C.7.3.1.1.1
    "AR BI BMD CR CT DG DX ECG EPS ES GM HC IO IVOCT IVUS KO LS MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OT PLAN",
    "PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTPLAN RTRECORD RTSTRUCT RWV SEG SM SMR SR SRF STAIN TG US VA XA XC",
)
CHEST = re.compile("CHEST|TH?ORAX|TÓRAX|LUNG|PULMO|POUMON|PECHO|胸")
MORE = re.compile("ABD|PELV|SPINE|NECK|HEAD|BREAST|椎|腹")  # CHESTABDOMEN is another picture, 胸椎 the thoracic spine
BODY_PARTS = _terms(  # PS3.16, annex L, those that are X-rayed most
    "ABDOMEN ABDOMENPELVIS ANKLE ARM BREAST CALCANEUS CHESTABDOMEN CHESTABDPELVIS CLAVICLE COCCYX CSPINE ELBOW",
    "EXTREMITY FACE FEMUR FINGER FOOT FOREARM HAND HEAD HEART HIP HUMERUS JAW KNEE LEG LIVER LSPINE LSSPINE MANDIBLE",
    "NECK PATELLA PELVIS RIB RIBS SACRUM SCAPULA SHOULDER SKULL SPINE SSPINE STERNUM TIBIA TLSPINE TOE TSPINE",
    "WHOLEBODY WRIST",
)
CHEST_CODES = frozenset({"T-D3000", "T-D3200", "T-28000", "51185008", "816094009", "43799004", "39607008"})
VIEW_CODES = {  # PS3.16, CID 4010, in SNOMED's new and old codes
    "399348003": "AP", "R-10206": "AP", "272479007": "PA", "R-40888": "PA", "R-10214": "PA", "399033003": "frontal",
}  # fmt: skip
VIEWS = {
    "AP": "AP", "ANTEROPOSTERIOR": "AP", "ANTERO": "AP", "PA": "PA", "POSTEROANTERIOR": "PA", "POSTERO": "PA",
    "FRONTAL": "frontal",
}  # fmt: skip
SIDEWAYS = _terms("LL RL LAT LATERAL LLD RLD LLO RLO LAO RAO LPO RPO OBLIQUE DECUBITUS TRANSTHORACIC")
SILENT = _terms(  # nothing, or how somebody stood or lay, which is no view
    "UNKNOWN UNK NONE OTHER OT NA UNDEFINED UNSPECIFIED PORTABLE MOBILE ERECT UPRIGHT STANDING SITTING SUPINE SEMI",
    "CHEST THORAX",
)


def find_fault(dataset: Any, modalities: Collection[str]) -> str | None:
    """Why an image is not taken, in words that follow "but it is"; None if it is, or may be, a chest from the front.

    Args:
        dataset: with the elements before its pixels.
        modalities: those that pass, `UNSTATED` for images that state none.
    """
    modality = modality_of(dataset)
    if modality not in modalities:
        told = modality if modality in TERMS else "a term that DICOM does not have"
        return "of no stated modality" if modality == UNSTATED else f"of the modality {told}"
    return _other_part(dataset) or _other_kind(dataset) or _other_view(dataset)


def modality_of(dataset: Any) -> str:
    """The modality of the header, else that of the kind of object (SOP class), else `UNSTATED`."""
    told = _text(dataset, "Modality")
    return told or MODALITY_OF.get(str(dataset.get("SOPClassUID") or ""), UNSTATED)


def may_be_chest(part: str) -> bool:
    """Whether the name of a body part, in capitals, is that of the chest or says nothing."""
    return not part or part in SILENT or bool(CHEST.search(part) and not MORE.search(part))


def view_of(dataset: Any) -> str:
    """AP, PA, frontal; "other" for any other; empty where the header does not say.

    By the view position, else the view's code, else where the picture's right and lower edge point to in the patient.
    """
    words = re.findall(r"[^\W_\d]+", _text(dataset, "ViewPosition"))
    if any(word not in SILENT for word in words):
        named = next((VIEWS[word] for word in words if word in VIEWS), "other")
        return "other" if SIDEWAYS.intersection(words) else named
    if code := _code(dataset, "ViewCodeSequence"):
        return VIEW_CODES.get(code, "other")
    towards = {edge[:1] for edge in _values(dataset, "PatientOrientation")}
    return "other" if towards & {"A", "P"} else "frontal" if towards & {"L", "R"} else ""


def _other_view(dataset: Any) -> str | None:
    if view_of(dataset) != "other":
        return None
    words = SIDEWAYS.intersection(re.findall(r"[^\W_\d]+", _text(dataset, "ViewPosition")))
    return f"another view than from the front{f' ({min(words)})' if words else ''}"


def _other_part(dataset: Any) -> str | None:
    part = _text(dataset, "BodyPartExamined")
    code = _code(dataset, "AnatomicRegionSequence")
    if not part or part in SILENT:
        return "of another body part, by its code" if code and code not in CHEST_CODES else None
    if may_be_chest(part):
        return None
    return f"of {f'the body part {part}' if part in BODY_PARTS else 'a body part that is not called chest'}"


def _other_kind(dataset: Any) -> str | None:
    """DERIVED alone is no fault: what a digital detector gives for looking at is derived from what it measured."""
    words = _values(dataset, "ImageType")
    if words & {"LOCALIZER", "SCOUT"}:
        return "a localizer"
    return "made from other images (SECONDARY)" if "SECONDARY" in words else None


def _values(dataset: Any, keyword: str) -> set[str]:
    value: Any = dataset.get(keyword) or ()
    return {str(one).strip().upper() for one in ([value] if isinstance(value, str) else value)}


def _text(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip().upper()


def _code(dataset: Any, keyword: str) -> str:
    """The first item's code where it is one of SNOMED; a hospital's own codes mean nothing here."""
    items: Any = dataset.get(keyword) or ()
    known = len(items) and _text(items[0], "CodingSchemeDesignator") in ("SCT", "SRT", "SNM3")
    return _text(items[0], "CodeValue") if known else ""
