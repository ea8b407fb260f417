"""What a result says as DICOM objects, as dcmtk reads them, and whose it is."""

import subprocess

import numpy as np
import pydicom
import pytest

from pneumo.serving.results.heat_map_capture import BAND, captioned, write_capture
from pneumo.serving.results.result import Result, place_of, study_of
from pneumo.serving.results.structured_report import write_report
from tests.data.conftest import dicom

RESULT = Result(
    probability=0.8734567, threshold=0.4, label="PNEUMONIA", out_of_distribution=True, model="pneumonia-classifier",
    version="3", model_sha256="ab" * 32,
)  # fmt: skip


@pytest.fixture
def study(tmp_path):
    """Of an image whose patient has a name that Latin-1 writes otherwise than Unicode, and which lacks much else."""
    told = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1", "SpecificCharacterSet": "ISO_IR 100"}
    file = tmp_path / "image.dcm"
    file.write_bytes(dicom(np.zeros((8, 8), np.uint8), PatientName="Müller^Jürgen", AccessionNumber="A1", **told))
    return study_of(pydicom.dcmread(file))


def test_a_report_says_all_that_a_reader_needs_and_that_it_is_not_for_diagnosis(study, tmp_path, dcmtk):
    write_report(study, RESULT, place_of("report", "1.2.3", RESULT)).save_as(
        tmp_path / "sr.dcm", enforce_file_format=True
    )
    told = subprocess.run(["dsrdump", "+Pl", tmp_path / "sr.dcm"], capture_output=True, check=True).stdout.decode()
    for words in (
        "Patient             : Müller^Jürgen", "Research only, not for diagnosis (#9901)", "UNVERIFIED", "PRELIMINARY",
        '"Algorithm Name")="pneumonia-classifier"', '"Algorithm Version")="3"', f'"sha256 {"ab" * 32}"',
        '"Probability of pneumonia")="0.873457"', '"Threshold of the label")="0.4"', '=(PNEUMONIA,99PNEUMO,',
        '"Out-of-distribution")=(373066001,SCT,"Yes")', '"Intended use")=(RESEARCH,99PNEUMO,"Research only, not for',
    ):  # fmt: skip
        assert words in told
    assert "Finding" not in told  # a group that is about pneumonia must not read as one that finds it


def test_a_heat_map_is_marked_and_is_no_radiograph_that_a_search_would_find(study):
    picture = np.full((100, 640, 3), 90, np.uint8)
    capture = write_capture(study, picture, RESULT, place_of("heat map", "1.2.3", RESULT))
    assert (capture.Modality, capture.ImageType[1]) == ("OT", "SECONDARY")
    assert (capture.StudyInstanceUID, capture.AccessionNumber, str(capture.PatientName)) == (
        "1.2.9",
        "A1",
        "Müller^Jürgen",
    )
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3"
    assert "not for diagnosis" in capture.SeriesDescription and "not for diagnosis" in capture.DerivationDescription
    assert not capture.PatientOrientation  # the image states none
    np.testing.assert_array_equal(capture.pixel_array, captioned(picture, RESULT))
    np.testing.assert_array_equal(capture.pixel_array[BAND:-BAND], picture)
    assert capture.pixel_array[:BAND].any() and capture.pixel_array[-BAND:].any()


@pytest.mark.parametrize("told", ["YES", "NO", None])
def test_a_heat_map_claims_no_more_of_writing_in_its_picture_than_the_image_does(study, told):
    study.BurnedInAnnotation = told
    capture = write_capture(study, np.full((100, 640, 3), 90, np.uint8), RESULT, place_of("heat map", "1.2.3", RESULT))
    assert capture.get("BurnedInAnnotation") == told


def test_an_object_has_one_uid_for_an_image_and_a_version():
    place = place_of("report", "1.2.3", RESULT)
    assert place == place_of("report", "1.2.3", RESULT.model_copy(update={"probability": 0.1, "threshold": 0.9}))
    others = [
        place_of("report", "1.2.3", RESULT, 0.9),
        place_of("heat map", "1.2.3", RESULT), place_of("report", "1.2.4", RESULT),
        *(place_of("report", "1.2.3", RESULT.model_copy(update=change))
          for change in ({"version": "4"}, {"model": "other"}, {"model_sha256": "cd" * 32})),
    ]  # fmt: skip
    assert len({uid for one in (place, *others) for uid in one}) == 14
    assert all(pydicom.uid.UID(uid).is_valid for uid in place)
