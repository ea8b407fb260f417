"""Patients as a label file, a path or a header calls them are nowhere in what is made of them."""

import stat

import numpy as np
import pandas as pd
import pydicom
import pytest

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.data.sources.schemes import ingest
from pneumo.data.store import packs
from pneumo.errors import DataError
from pneumo.settings.data import Data
from tests.leaks import hits

PERSON = "Jane Doe 1956-03-01"


@pytest.fixture
def told_set(make, tmp_path):
    """DICOM files whose patients a label file names, two files each."""
    rows = ["path,label,patient,split"]
    for number in range(16):
        label, split = ("NORMAL", "PNEUMONIA")[number % 2], "test" if number >= 12 else "train"
        pixels = np.asarray(make.picture(number, (64, 64)))
        make.write(tmp_path / f"told/{number}.dcm", make.dicom(pixels, f"A-{number}"))
        rows.append(f"{number}.dcm,{label},{PERSON} {number // 4 * 2 + number % 2},{split}")
    make.write(tmp_path / "told/labels.csv", "\n".join(rows).encode())
    return tmp_path / "told"


def patients(inventory):
    return pd.read_parquet(inventory.manifest)["patient"]


def test_a_patient_of_a_label_file_is_named_neither_here_nor_on_the_storage(make, told_set, home, s3_server, tmp_path):
    version = make.version_of(str(told_set), home)
    settings = Data(storage="s3://hospital/told", s3_endpoint=s3_server)
    packs.push(version, settings)
    pulled = make.version_of(f"version:{version.digest}", tmp_path / "there", settings)
    kept = [path for place in (home, tmp_path / "there") for path in place.rglob("*") if path.is_file()]
    assert hits(((str(path), path.read_bytes()) for path in kept), ["Jane Doe", "1956-03"]) == []
    rows = pd.read_parquet(pulled.manifest)
    assert rows["patient"].nunique() == 8 and rows["patient"].str.fullmatch("patient-[0-9a-f]{24}").all()
    assert [pydicom.dcmread(pulled.root / path).PatientID for path in rows["path"]] == rows["patient"].tolist()


def test_a_version_is_hashed_once_whatever_the_key(make, told_set, home, s3_server, tmp_path, monkeypatch):
    version = make.version_of(str(told_set), home)
    settings = Data(storage="s3://hospital/told-once", s3_endpoint=s3_server)
    packs.push(version, settings)
    monkeypatch.setenv("PNEUMO_PATIENT_KEY", "another")
    pulled = make.version_of(f"version:{version.digest}", tmp_path / "there", settings)
    assert (pulled.digest, pulled.counts) == (version.digest, version.counts)


def test_a_patient_of_the_pattern_is_a_pseudonym_and_one_of_a_public_file_name_stays(make, tmp_path, home):
    for number in range(4):
        label = ("NORMAL", "PNEUMONIA")[number % 2]
        make.write(tmp_path / f"set/{label}/Doe{number // 2}_{number}.png", make.encoded(make.picture(number), "PNG"))
    make.write(tmp_path / "set/NORMAL/IM-0115-0001.jpeg", make.encoded(make.picture(9)))
    found = patients(ingest(str(tmp_path / "set"), home, Data(patient_pattern=r"/(?P<patient>Doe\d)_")))
    assert found.nunique() == 3
    assert sorted(found.str.startswith("patient-")) == [False] + [True] * 4
    assert "IM-0115" in set(found)


def test_one_key_gives_one_team_the_same_patients(told_set, tmp_path, monkeypatch):
    found = []
    for place, key in (("here", "ours"), ("there", "ours"), ("elsewhere", "theirs")):
        monkeypatch.setenv("PNEUMO_PATIENT_KEY", key)
        found.append(patients(ingest(str(told_set), tmp_path / place, Data())).tolist())
    assert found[0] == found[1] != found[2]


def test_key_file_is_made_once_and_for_the_owner_only(home, monkeypatch):
    monkeypatch.delenv("PNEUMO_PATIENT_KEY", raising=False)
    key = patient_secret(home)
    assert len(key) == 64
    assert patient_secret(home) == key
    assert stat.S_IMODE((home / "patient.key").stat().st_mode) == 0o600
    monkeypatch.setenv("PNEUMO_PATIENT_KEY", "given")
    assert patient_secret(home) == b"given"


def test_an_empty_key_is_refused_and_one_that_was_cut_off_is_made_again(tmp_path):
    (tmp_path / ".patient.key.part").write_bytes(b"")
    assert len(patient_secret(tmp_path)) == 64
    (tmp_path / "patient.key").write_bytes(b"")
    with pytest.raises(DataError, match=r"at least 16 bytes in .*patient\.key, found 0: put back the key"):
        patient_secret(tmp_path)
