"""Radiographs of a real archive, for scoring and, with a label file, for training."""

import numpy as np
import pandas as pd
import pytest

from pneumo.data.sources.dicomweb import mirror
from pneumo.data.sources.schemes import ingest
from pneumo.errors import ArchiveError, DataError
from pneumo.settings.data import Data

DATE = "20260115"
KINDS = {
    "1": {"ViewPosition": "PA"},
    "2": {"Modality": "DX", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1", "BodyPartExamined": ""},
    "3": {"BodyPartExamined": "HAND"},
    "4": {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
    "5": {"StudyDate": "20250115"},
}


@pytest.fixture(scope="module")
def address(orthanc, make, tmp_path_factory):
    """An archive with two chests of that date, a hand, a CT and a chest of another year."""
    folder = tmp_path_factory.mktemp("images")
    for number, kind in KINDS.items():
        uids = {
            f"{level}InstanceUID": f"1.2.88.{number}{tail}"
            for level, tail in zip(("Study", "Series", "SOP"), ("", ".1", ".1.1"), strict=True)
        }
        told = {"Modality": "CR", "StudyDate": DATE, "BodyPartExamined": "CHEST"} | uids | kind
        pixels = np.asarray(make.picture(int(number)))
        make.write(folder / f"{number}.dcm", make.dicom(pixels, f"PATIENT-{number}", **told))
    orthanc.send(*sorted(folder.iterdir()))
    return f"{orthanc.address}?StudyDate=20260101-20260131"


def test_chest_radiographs_of_the_dates_are_found_and_no_other(address, home):
    _, copies = mirror(address, home, Data())
    assert [copy.instance.uid for copy in copies] == ["1.2.88.1.1.1", "1.2.88.2.1.1"]
    assert all(copy.file.read_bytes()[128:132] == b"DICM" for copy in copies)
    _, copies = mirror(f"{address}&Modality=DX", home, Data())
    assert [copy.instance.uid for copy in copies] == ["1.2.88.2.1.1"]
    _, copies = mirror(f"{address}&BodyPartExamined=CHEST", home, Data())
    assert [copy.instance.uid for copy in copies] == ["1.2.88.1.1.1"]


def test_a_search_without_bounds_or_for_what_is_not_accepted_is_refused(address, home):
    with pytest.raises(DataError, match="without which all would be fetched"):
        mirror(address.partition("?")[0], home, Data())
    with pytest.raises(DataError, match=r"a modality of data.dicom_modalities \(CR, DX\)"):
        mirror(f"{address}&Modality=CT", home, Data())


def test_a_wrong_password_is_told_in_words(address, home, monkeypatch):
    monkeypatch.setenv("PNEUMO_DICOMWEB_PASSWORD", "wrong")
    with pytest.raises(ArchiveError, match="answers 401: give its login"):
        mirror(address, home, Data())


@pytest.mark.parametrize("by", ["search", "studies"])
def test_a_label_file_of_uids_makes_a_data_set_with_patients_and_without_uids(by, address, home, tmp_path):
    file = tmp_path / "labels.csv"
    first = "1.2.88.1.1.1" if by == "search" else "1.2.88.1"
    file.write_text(f"path,label\n{first},0\n1.2.88.2,1\n")
    source = f"{address}&labels={file}" if by == "search" else f"{address.partition('?')[0]}?labels={file}"
    rows = pd.read_parquet(ingest(source, home, Data()).manifest)
    assert sorted(rows["label"]) == ["NORMAL", "PNEUMONIA"] and rows["error"].isna().all()
    assert rows["patient"].str.startswith("dicom-").all() and rows["patient"].nunique() == 2
    assert "1.2.88" not in rows.to_json()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("1.2.88.1,0\n1.2.88.5,1\n", r"gives no radiograph of a chest \('line 3'\)"),
        ("1.2.88.1,0\n1.2.88.1.1.1,1\n", r"images named twice \('line 2', 'line 3'\)"),
        ("1.2.88.1,0\nERIKA,1\n", r"not of the form of a UID \('line 3'\)"),
        ("1.2.88.1,0\n1.2.88.2,0\n", "no PNEUMONIA"),
    ],
)
def test_a_label_file_that_does_not_fit_the_archive_is_refused(rows, why, address, home, tmp_path):
    (tmp_path / "labels.csv").write_text(f"path,label\n{rows}")
    with pytest.raises(DataError, match=why):
        ingest(f"{address}&labels={tmp_path}/labels.csv", home, Data())


def test_a_training_needs_labels(address, home):
    with pytest.raises(DataError, match="an archive tells no labels"):
        ingest(address, home, Data())
