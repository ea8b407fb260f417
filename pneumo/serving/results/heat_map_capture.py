"""A class activation map over its X-ray as a Secondary Capture, with what it is written into the picture."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pneumo.data.dicom import yes_or_no
from pneumo.serving.results.result import WARNING, Place, Result, common_elements

if TYPE_CHECKING:
    from pydicom import Dataset

SERIES_NUMBER = 9902
BAND = 48  # pixels above and below the X-ray, so that no word covers it


def write_capture(study: "Dataset", picture: NDArray[np.uint8], result: Result, place: Place) -> "Dataset":
    """The capture of a picture, uint8 (height, width, 3), RGB, derived from the image whose study is given.

    It writes no patient into the picture, but keeps what is written there, and what the image's header says of that. It
    is of modality OT, so that no search for radiographs finds it.
    """
    from highdicom.sc import SCImage
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    capture: Dataset = SCImage.from_ref_dataset(
        study,
        pixel_array=captioned(picture, result),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **common_elements(result, place, SERIES_NUMBER),
    )
    capture.PatientOrientation = study.PatientOrientation  # highdicom requires one; many images state none
    if written := yes_or_no(study, "BurnedInAnnotation"):
        capture.BurnedInAnnotation = written  # whether it identifies the patient (PS3.3, C.7.6.1)
    capture.DerivationDescription = f"Class activation map. {WARNING}"
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = study.SOPClassUID, study.SOPInstanceUID
    capture.SourceImageSequence = [source]
    return capture


def captioned(picture: NDArray[np.uint8], result: Result) -> NDArray[np.uint8]:
    """A picture, uint8 (height, width, 3), with a band above and one below: (height + 2 BAND, width, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    page = Image.new("RGB", (width, height + 2 * BAND))
    page.paste(Image.fromarray(picture), (0, BAND))
    draw = ImageDraw.Draw(page)
    said = f"{result.label}: probability {result.probability:.3f}, threshold {result.threshold:.3f}"
    far = "; OUT-OF-DISTRIBUTION" if result.out_of_distribution else ""
    lines = (
        (4, 20, "orange", WARNING.upper()),
        (28, 13, "white", f"{result.model} version {result.version}"),
        (height + BAND + 4, 15, "white", said + far),
        (height + BAND + 26, 13, "white", "red speaks for pneumonia, blue against it"),
    )  # fmt: skip
    for top, size, colour, text in lines:
        draw.text((8, top), text, fill=colour, font=ImageFont.load_default(size))
    return np.asarray(page)
