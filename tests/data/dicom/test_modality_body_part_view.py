"""A DICOM image that says that it is no chest from the front is told apart, and costs no other."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset

from pneumo.data.dicom.modality_body_part_view import find_fault, view_of
from pneumo.data.quality.gate import validate
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.decode import decode
from pneumo.data.store.versions import make_version
from pneumo.errors import OtherImageError
from pneumo.evaluation.image_model import modalities_of
from pneumo.records.dicom_modalities import MODALITIES
from pneumo.serving.bundle.inputs import read_images
from pneumo.settings.data import Data, Gate

CR, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.7"
TESTED = Path(pydicom.__file__).parent / "data/test_files"


def header(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in ({"Modality": "DX"} | elements).items():
        setattr(dataset, keyword, value)
    return dataset


def coded(code: str, scheme: str = "SCT") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code, scheme
    return [item]


PASS = {
    "nothing but the modality": {},
    "a modality that only the kind of object tells": {"Modality": "", "SOPClassUID": CR},
    "a secondary capture called CR, as public sets have it": {
        "Modality": "CR",
        "SOPClassUID": SECONDARY_CAPTURE,
    },
    "chest from the front": {"BodyPartExamined": "CHEST", "ViewPosition": "PA"},
    "small letters": {"BodyPartExamined": "Chest", "ViewPosition": "ap"},
    "thorax": {"BodyPartExamined": "THORAX"},
    "a hospital's own words": {"BodyPartExamined": "PORT CHEST", "ViewPosition": "AP SUPINE"},
    "an unknown part": {"BodyPartExamined": "UNKNOWN"},
    "a view that only says how the patient stood": {"ViewPosition": "ERECT"},
    "what detectors give for looking at": {"ImageType": ["DERIVED", "PRIMARY", "", "POST_PROCESSED"]},
    "a picture that points to left and foot": {"PatientOrientation": ["L", "F"]},
    "a coded view": {"ViewCodeSequence": coded("272479007")},
    "an old code of a view": {"ViewCodeSequence": coded("R-10206", "SRT")},
    "a code of the hospital": {"ViewCodeSequence": coded("17", "99LOCAL")},
    "a coded chest": {"AnatomicRegionSequence": coded("T-D3000", "SRT")},
}
REFUSED = {
    "another modality": ({"Modality": "CT"}, "of the modality CT"),
    "a modality of no standard": ({"Modality": "MUSTERMANN"}, "of the modality a term that DICOM does not have"),
    "no modality": ({"Modality": "", "SOPClassUID": SECONDARY_CAPTURE}, "of no stated modality"),
    "another part": ({"BodyPartExamined": "HAND"}, "of the body part HAND"),
    "more than the chest": ({"BodyPartExamined": "CHESTABDOMEN"}, "of the body part CHESTABDOMEN"),
    "the spine of the chest in Japanese": ({"BodyPartExamined": "胸椎"}, "of a body part that is not called chest"),
    "a part of no standard": ({"BodyPartExamined": "MUSTERMANN"}, "of a body part that is not called chest"),
    "a coded part": ({"AnatomicRegionSequence": coded("T-D8700", "SRT")}, "of another body part, by its code"),
    "a left lateral": ({"ViewPosition": "LL"}, r"another view than from the front \(LL\)"),
    "a lateral in words": ({"ViewPosition": "LATERAL"}, r"another view than from the front \(LATERAL\)"),
    "both views at once": ({"ViewPosition": "PA AND LAT"}, r"another view than from the front \(LAT\)"),
    "a view of no standard": ({"ViewPosition": "MUSTERMANN"}, "another view than from the front$"),
    "a coded lateral": ({"ViewCodeSequence": coded("399067008")}, "another view than from the front"),
    "a picture that points to the back": ({"PatientOrientation": ["P", "F"]}, "another view than from the front"),
    "made from other images": ({"ImageType": ["DERIVED", "SECONDARY"]}, r"made from other images \(SECONDARY\)"),
    "a localizer": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
}


@pytest.mark.parametrize("kind", PASS)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_chest_from_the_front_passes_and_so_does_one_that_may_be(kind):
    assert find_fault(header(**PASS[kind]), MODALITIES) is None


@pytest.mark.parametrize("kind", REFUSED)
def test_what_says_that_it_is_another_image_is_told_without_the_files_own_words(kind):
    elements, words = REFUSED[kind]
    fault = find_fault(header(**elements), MODALITIES)
    assert re.search(words, fault)
    assert "MUSTERMANN" not in fault


@pytest.mark.parametrize(("modality", "added"), [("RG", "RG"), ("", "UNSTATED")])
def test_a_setting_lets_other_modalities_pass(modality, added):
    assert find_fault(header(Modality=modality), MODALITIES)
    assert find_fault(header(Modality=modality), Data(dicom_modalities=(*MODALITIES, added)).dicom_modalities) is None


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "AP SUPINE"}, "AP"),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399348003")}, "AP"),
        ({"PatientOrientation": ["L", "F"]}, "frontal"),
        ({}, ""),
    ],
)
def test_the_view_is_read_from_whichever_element_tells_it(elements, view):
    assert view_of(header(**elements)) == view


PIXELS = np.tile(np.linspace(0, 4000, 96).astype(np.uint16), (96, 1))


def test_in_training_another_image_is_a_row_of_the_gate_and_in_quarantine(make, chest_set, home):
    spoiled = "train/NORMAL/side.dcm"
    make.write(chest_set / spoiled, make.dicom(PIXELS, "A-1", ViewPosition="LL"))
    make.write(chest_set / "train/NORMAL/front.dcm", make.dicom(PIXELS, "A-2", ViewPosition="PA"))
    inventory = ingest(str(chest_set), home, Data())
    report = validate(inventory, home, Gate(quarantine_limit=0.2), None)
    rows = {row.name: row for row in report.rows}
    assert [spoiled in file for file in rows["chest from the front"].files] == [True]
    assert rows["readable"].passed
    quarantine = pd.read_csv(report.quarantine).set_index("path")["reason"]
    assert "side.dcm is another view than from the front (LL)" in quarantine[spoiled]
    accepted = pd.read_parquet(make_version(inventory, report, home).manifest)
    assert spoiled not in set(accepted["path"])
    assert set(accepted["view"]) == {"", "PA"}
    assert modalities_of(accepted) == ("CR", "DX")


def test_a_modality_that_the_settings_add_is_learned_and_then_served(make, chest_set, home):
    make.write(chest_set / "train/NORMAL/film.dcm", make.dicom(PIXELS, Modality="RG"))
    refused = pd.read_parquet(ingest(str(chest_set), home, Data()).manifest)
    assert refused["other_image"].notna().sum() == 1
    added = pd.read_parquet(ingest(str(chest_set), home, Data(dicom_modalities=("CR", "RG"))).manifest)
    assert added["error"].isna().all()
    assert modalities_of(added) == ("CR", "DX", "RG")
    assert modalities_of(added.drop(columns="modality")) == ("CR", "DX")


def test_in_scoring_another_image_is_an_error_and_costs_no_other(make):
    told = ({"Modality": "MR"}, {"ViewPosition": "AP"}, {"Modality": "RG"})
    cells = [make.dicom(PIXELS, **elements) for elements in told]
    found = read_images(cells, 32, "pad", modalities=("CR", "DX", "RG"))
    assert found.rows.tolist() == [1, 2]
    assert found.errors[0] == (
        "Expected a chest X-ray from the front (CR, DX, RG), but row 0 is of the modality MR: take it out."
    )


FILES = sorted(path for path in TESTED.rglob("*") if path.is_file() and path.suffix not in (".txt", ".json", ".gz"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_of_pydicoms_own_files_none_is_scored_and_each_says_why():
    """They were CT, MR, doses and a segmentation before; the three of modality CR show the neck."""
    reasons = {path.name: read_images([path.read_bytes()], 32, "pad").errors[0] for path in FILES}
    assert len(reasons) > 140
    assert all(reason and reason.startswith("Expected ") and "this image" in reason for reason in reasons.values())
    assert {"the body part CSPINE" in reasons[name] for name in ("6154", "6247", "6278")} == {True}


def test_a_radiograph_of_pydicoms_is_scored_once_it_says_chest():
    dataset = pydicom.dcmread(TESTED / "dicomdirtests/77654033/CR3/6278")
    with pytest.raises(OtherImageError, match=r"x\.dcm is of the body part CSPINE"):
        decode(written(dataset), 32, "pad", "x.dcm", MODALITIES)
    dataset.BodyPartExamined = "CHEST"
    assert decode(written(dataset), 32, "pad", "x.dcm", MODALITIES).std() > 0


def written(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()
