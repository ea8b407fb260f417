"""A result as a DICOM Structured Report: Comprehensive SR, Measurement Report (PS3.16, TID 1500)."""

from typing import TYPE_CHECKING

from pneumo.serving.results.result import LONGEST, WARNING, Place, Result, common_elements, derived_uid

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

SERIES_NUMBER = 9901
# Codes of pneumo's own, value and meaning, since the standard has none. No finding is coded: a reader might take a
# group that is about pneumonia for one that finds it.
PROBABILITY = ("PROBABILITY", "Probability of pneumonia")
THRESHOLD = ("THRESHOLD", "Threshold of the label")
LABEL = ("LABEL", "Label")
USE = ("INTENDED-USE", "Intended use")
FAR = ("OUT-OF-DIST", "Out-of-distribution")


def write_report(study: "Dataset", result: Result, place: Place) -> "Dataset":
    """The report on one image; it is unverified and preliminary, and says that it is not for diagnosis.

    Args:
        study: of the image, from `study_of`.
        result: what it tells.
        place: its UIDs.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=derived_uid("device", result.model, result.version), name="pneumo", model_name=result.model[:LONGEST]
    )
    observer = sr.ObserverContext(codes.DCM.Device, device)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=Code("399208008", "SCT", "Plain X-ray of chest"),
        imaging_measurements=[_measured(study, result, place)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    report: Dataset = sr.ComprehensiveSR(
        evidence=[study],
        content=content[0],
        is_complete=True,
        **common_elements(result, place, SERIES_NUMBER),
    )
    return report


def _measured(study: "Dataset", result: Result, place: Place) -> "Dataset":
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code

    yes, no = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
    numbers = {PROBABILITY: result.probability, THRESHOLD: result.threshold}
    words = {
        LABEL: (result.label, result.label),
        USE: ("RESEARCH", WARNING),
    }
    evaluations = [sr.QualitativeEvaluation(_own(name), _own(value)) for name, value in words.items()]
    evaluations.append(sr.QualitativeEvaluation(_own(FAR), yes if result.out_of_distribution else no))
    group: Dataset = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=place.uid, identifier="pneumo"),
        algorithm_id=sr.AlgorithmIdentification(
            result.model, result.version, parameters=[f"sha256 {result.model_sha256}"], manufacturer="pneumo"
        ),
        measurements=[
            sr.Measurement(_own(name), round(value, 6), codes.UCUM.NoUnits) for name, value in numbers.items()
        ],
        qualitative_evaluations=evaluations,
        source_images=[sr.SourceImageForMeasurementGroup(study.SOPClassUID, study.SOPInstanceUID)],
    )
    return group


def _own(code: tuple[str, str]) -> "Code":
    from pydicom.sr.coding import Code

    value, meaning = code
    return Code(value, "99PNEUMO", meaning)
