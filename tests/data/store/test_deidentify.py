"""What goes to a store of images says nothing of the patient, and shows the same picture."""

import io

import numpy as np
import pytest
from PIL import Image

from pneumo.data.store.decode import decode
from pneumo.data.store.deidentify import deidentify
from pneumo.errors import DataError
from tests.leaks import hits
from tests.planted import KINDS, NAME, WORDS, dicom, jpeg, picture, png

ODD = picture()[:5, :5]
DEEP = np.tile(np.linspace(0, 4000, 64).astype(np.uint16), (64, 1))


def table(kind: str):
    from pydicom.dataset import Dataset

    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [4096, 0, 8])
    lut.add_new("LUTData", "US", [value // 16 for value in range(4096)][::-1])
    lut.LUTExplanation = f"for {NAME}"
    if kind == "ModalityLUTSequence":
        lut.ModalityLUTType = "US"
    return {kind: [lut]}


def with_mode(mode: str) -> bytes:
    """A JPEG or PNG of another kind of pixels, with a name in a comment or text."""
    file, gray = io.BytesIO(), Image.fromarray(picture())
    if mode == "CMYK":
        gray.convert("CMYK").save(file, "JPEG", comment=NAME)
    elif mode == "progressive":
        gray.convert("RGB").save(file, "JPEG", progressive=True, comment=NAME, icc_profile=NAME.encode() * 20)
    elif mode == "restarts":
        gray.save(file, "JPEG", restart_marker_rows=1, comment=NAME)
    elif mode == "16 bit":
        Image.fromarray(DEEP).save(file, "PNG")
    elif mode == "palette":
        gray.convert("P").save(file, "PNG", transparency=3)
    return file.getvalue()


def compressed() -> bytes:
    """A DICOM file around a JPEG with EXIF and a comment that name the patient."""
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEGBaseline8Bit

    dataset, file = pydicom.dcmread(io.BytesIO(dicom(picture()))), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([jpeg(picture()) + NAME.encode()])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(file)
    return file.getvalue()


FILES = {
    **{kind: write(picture()) for kind, write in KINDS.items()},
    "turned jpeg": jpeg(picture(), orientation=6),
    "turned png": png(picture(), orientation=3),
    **{mode: with_mode(mode) for mode in ("CMYK", "progressive", "restarts", "16 bit", "palette")},
    "jpeg with more behind it": jpeg(picture()) + NAME.encode(),
    "dicom with more behind its frame": dicom(picture(), PixelData=picture().tobytes() + NAME.encode()),
    "odd dicom with more behind its frame": dicom(ODD, PixelData=ODD.tobytes() + b"zwetschgenbaum"),
    "compressed dicom": compressed(),
    "inverted": dicom(DEEP, PhotometricInterpretation="MONOCHROME1"),
    "window": dicom(DEEP, WindowCenter=1000, WindowWidth=900, RescaleSlope=1, RescaleIntercept=-100),
    "sigmoid": dicom(DEEP, WindowCenter=1000, WindowWidth=900, VOILUTFunction="SIGMOID"),
    **{kind: dicom(DEEP, **table(kind)) for kind in ("ModalityLUTSequence", "VOILUTSequence")},
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_the_picture_is_the_same_and_names_nobody(kind):
    changed = deidentify(FILES[kind], kind, "dicom-0123")
    assert hits([(kind, changed)], WORDS) == []
    for size in (20, 64):
        np.testing.assert_array_equal(decode(changed, size, "pad"), decode(FILES[kind], size, "pad"))


@pytest.mark.parametrize("kind", FILES)
def test_once_is_enough(kind):
    changed = deidentify(FILES[kind], kind, "dicom-0123")
    assert deidentify(FILES[kind], kind, "dicom-0123") == changed == deidentify(changed, kind, "dicom-0123")


def test_a_dicom_patient_becomes_the_pseudonym():
    import pydicom

    found = pydicom.dcmread(io.BytesIO(deidentify(dicom(picture()), "x.dcm", "dicom-0123")))
    assert (found.PatientID, found.PatientIdentityRemoved) == ("dicom-0123", "YES")
    assert not [element for element in found.iterall() if element.tag.is_private]
    assert found.SOPInstanceUID != "1.2.3.770042"


def test_a_picture_that_by_its_header_names_the_patient_is_refused_unless_identities_were_removed():
    with pytest.raises(DataError, match=r"x\.dcm cannot \(by its header, writing in the picture identifies"):
        deidentify(dicom(picture(), BurnedInAnnotation="YES"), "x.dcm", None)
    for told in ({"BurnedInAnnotation": "NO"}, {"BurnedInAnnotation": "YES", "PatientIdentityRemoved": "YES"}):
        assert deidentify(dicom(picture(), **told), "x.dcm", None)


@pytest.mark.parametrize("data", [dicom(picture())[:400], jpeg(picture())[:300]], ids=["dcm", "jpeg"])
def test_a_file_that_cannot_be_taken_apart_is_refused_without_quoting_it(data):
    with pytest.raises(DataError, match=r"x\.img") as caught:
        deidentify(data, "x.img", None)
    assert "ustermann" not in str(caught.value) and NAME not in str(caught.value)
