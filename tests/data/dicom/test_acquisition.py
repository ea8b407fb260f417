"""What the manifest keeps of a DICOM header tells nobody, and survives a de-identified copy."""

import io

import numpy as np
import pandas as pd
import pydicom
import pytest

from pneumo.data.dicom import render
from pneumo.data.dicom.acquisition import COLUMNS, describe, elements
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.deidentify import deidentify
from pneumo.data.store.versions import digest_of
from pneumo.settings.data import Data
from tests.data.conftest import kaggle_set

PIXELS = np.tile(np.linspace(0, 4000, 96).astype(np.uint16), (96, 1))
TOLD = {
    "ViewPosition": "AP",
    "Manufacturer": "Siemens Healthineers, room of Dr. Mustermann",
    "PatientAge": "064Y",
    "PatientSex": "F",
}
FACTS = {"modality": "CR", "view": "AP", "manufacturer": "SIEMENS", "age": "60-69", "sex": "F"}


def facts(**told):
    dataset = pydicom.Dataset()
    for keyword, value in told.items():
        setattr(dataset, keyword, value)
    return describe(dataset)


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("064Y", "60-69"), ("009Y", "0-9"), ("010Y", "10-19"), ("089Y", "80-89"), ("090Y", "90+"), ("107Y", "90+"),
        ("018M", "0-9"), ("130M", "10-19"), ("003W", "0-9"), ("010D", "0-9"), ("", ""), ("64", ""), ("old", ""),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_ages_are_in_bands_of_ten_years_and_the_last_is_open(age, band):
    assert facts(PatientAge=age)["age"] == band


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("SIEMENS", "SIEMENS"), ("FUJIFILM Corporation", "FUJI"), ('"GE Healthcare"', "GE"), ("GE", "GE"),
        ("Philips Medical Systems", "PHILIPS"), ("GERMAN RADIOLOGY OF MUSTERMANN", "other"), ("", ""), ("...", ""),
    ],
)  # fmt: skip
def test_a_manufacturer_is_a_word_of_a_table(told, known):
    assert facts(Manufacturer=told)["manufacturer"] == known


def test_words_of_no_standard_are_no_sex():
    assert facts(PatientSex="M ")["sex"] == "M"
    assert facts(PatientSex="MUSTERMANN")["sex"] == ""


@pytest.mark.parametrize("change", [{}, {"age": "90+"}, {"age": "0-9"}, {"view": "frontal"}, {"view": ""}, {"sex": ""}])
def test_elements_are_read_as_what_they_were_made_of(change):
    assert facts(**elements(FACTS | change)) == FACTS | change


def test_a_deidentified_copy_tells_the_same_and_no_more(make):
    original = make.dicom(PIXELS, **TOLD)
    assert render(original, "x.dcm", 10_000).facts == FACTS
    copy = deidentify(original, "x.dcm", "dicom-7")
    assert render(copy, "x.dcm", 10_000, ("CR",)).facts == FACTS
    assert pydicom.dcmread(io.BytesIO(copy)).PatientAge == "060Y"
    assert b"ustermann" not in copy.lower()


def test_the_manifest_has_them_as_columns_and_others_are_empty(make, chest_set, home):
    make.write(chest_set / "train/NORMAL/a.dcm", make.dicom(PIXELS, **TOLD))
    rows = pd.read_parquet(ingest(str(chest_set), home, Data()).manifest).set_index("path")
    assert rows.loc["train/NORMAL/a.dcm", list(COLUMNS)].to_dict() == FACTS
    assert (rows.drop("train/NORMAL/a.dcm")[list(COLUMNS)] == "").all(axis=None)


def test_the_digest_of_a_set_without_dicom_is_what_it_was(tmp_path, home):
    manifest = pd.read_parquet(ingest(str(kaggle_set(tmp_path / "set", 2, test=False)), home, Data()).manifest)
    before = manifest.drop(columns=[*COLUMNS, "other_image"])
    assert digest_of(manifest.assign(split="train")) == digest_of(before.assign(split="train"))
