"""The round trip with a real archive: found, scored, and the results stored beside the images, each once."""

import importlib.util
import io

import numpy as np
import pydicom
import pytest

from pneumo.data.dicomweb.address import parse
from pneumo.data.dicomweb.archive import Archive
from pneumo.errors import DataError, ServiceError
from pneumo.serving.batch import scoring
from pneumo.serving.bundle.registered import load_registered
from pneumo.serving.results.send_back import require_archive, send_back
from pneumo.settings.data import Data
from pneumo.tracking import Tracker
from tests.data.conftest import dicom, picture

STUDY = "1.2.99.1"


@pytest.fixture(scope="module")
def address(orthanc, tmp_path_factory):
    """An archive with a study of two chests."""
    folder = tmp_path_factory.mktemp("images")
    for number in (1, 2):
        uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1", "SOPInstanceUID": f"{STUDY}.1.{number}"}
        told = uids | {"Modality": "CR", "StudyDate": "20260301", "BodyPartExamined": "CHEST"}
        (folder / f"{number}.dcm").write_bytes(dicom(np.asarray(picture(number)), **told))
    orthanc.send(*folder.iterdir())
    return f"{orthanc.address}?StudyDate=20260301"


@pytest.fixture(scope="module")
def registered(mlflow_server, bundle_folder, tiny):
    """A tracker, and a version twice: to an archive they are two."""
    tracker = Tracker(mlflow_server, "archive")
    run_id = tracker.runs.start("run")
    uri = tracker.bundles.log(run_id, bundle_folder, "tiny", tiny.encoded(tiny.pictures(1)[0]))
    for _ in range(2):
        tracker.registry.register(uri, "archive")
    return tracker, [tracker.registry.resolve(f"models:/archive/{number}") for number in (1, 2)]


@pytest.fixture(scope="module")
def table(registered, address, tmp_path_factory):
    """Both images, scored."""
    tracker, (version, _) = registered
    home = tmp_path_factory.mktemp("state")
    done = scoring.predict(tracker, version, [address], str(home / "predictions.csv"), home, Data())
    assert (done.images, done.errors) == (2, 0)
    return done.table


def test_results_are_stored_once_for_a_version(registered, table, address, orthanc):
    tracker, (version, newer) = registered
    told = []
    sent = send_back(tracker, version, table, table.parent, Data(), on_progress=lambda *at: told.append(at))
    assert (sent.images, sent.sent, sent.before) == (2, 2, 0) and told == [(1, 2), (2, 2)]
    found = [(kind, pydicom.dcmread(io.BytesIO(file))) for kind, file in orthanc.instances(STUDY)]
    assert sorted(kind for kind, _ in found) == ["CR", "CR", "OT", "OT", "SR", "SR"]
    assert {(item.PatientID, str(item.PatientName)) for _, item in found} == {("MUSTERMANN-17", "Mustermann^Erika")}

    again = send_back(tracker, version, table, table.parent, Data())
    assert (again.sent, again.before) == (0, 2) and len(orthanc.instances(STUDY)) == 6
    assert send_back(tracker, newer, table, table.parent, Data()).sent == 2 and len(orthanc.instances(STUDY)) == 10

    rescored = scoring.predict(tracker, version, [address], str(table.parent / "again.csv"), table.parent, Data())
    assert rescored.images == 2  # what was sent back is not scored


def test_a_label_by_another_threshold_is_sent_beside_the_one_that_is_there(registered, table, monkeypatch):
    tracker, (version, _) = registered
    there: set[str] = set()
    monkeypatch.setattr(Archive, "holds", lambda archive, study, uid: uid in there)
    monkeypatch.setattr(Archive, "store", lambda archive, study, files: there.update(files))
    own = load_registered(tracker, version).bundle.spec.threshold
    told = [
        send_back(tracker, version, table, table.parent, Data(), threshold).sent
        for threshold in (None, own, 0.123, 0.123, None)
    ]
    assert told == [2, 0, 2, 0, 0]


def test_what_was_cut_off_between_a_report_and_its_heat_map_is_completed(registered, table, monkeypatch):
    tracker, (version, _) = registered
    asked, stored = [], []
    monkeypatch.setattr(Archive, "holds", lambda archive, study, uid: asked.append(uid) or len(asked) % 2 == 1)
    monkeypatch.setattr(Archive, "store", lambda archive, study, files: stored.append(set(files)))
    send_back(tracker, version, table, table.parent, Data())
    assert stored == [{asked[1]}, {asked[3]}]


def test_one_result_that_is_refused_does_not_stop_the_others_and_is_told(registered, table, monkeypatch):
    tracker, (version, _) = registered
    tried = []

    def refuses_the_first(archive, study, files):
        tried.append(study)
        if len(tried) == 1:
            raise DataError("It is full.")

    monkeypatch.setattr(Archive, "holds", lambda archive, study, uid: False)
    monkeypatch.setattr(Archive, "store", refuses_the_first)
    with pytest.raises(DataError, match=r"Expected 2 results to be stored, but 1 are not\. It is full"):
        send_back(tracker, version, table, table.parent, Data())
    assert len(tried) == 2


def test_a_patient_who_was_corrected_in_the_archive_since_is_the_one_of_the_report(registered, table, monkeypatch):
    tracker, (version, _) = registered
    stored = []

    def corrected(archive, instance, honest=Archive.header):
        header = honest(archive, instance)
        header.PatientID = "CORRECTED"
        return header

    monkeypatch.setattr(Archive, "holds", lambda archive, study, uid: False)
    monkeypatch.setattr(Archive, "header", corrected)
    monkeypatch.setattr(Archive, "store", lambda archive, study, files: stored.extend(files.values()))
    send_back(tracker, version, table, table.parent, Data())
    assert {pydicom.dcmread(io.BytesIO(file)).PatientID for file in stored} == {"CORRECTED"}


def test_a_place_that_is_no_archive_is_refused_before_anything_is_scored():
    with pytest.raises(DataError, match="1 of 2 places are others"):
        require_archive(["dicomweb://pacs/dw?StudyDate=20260101", "folder"])


def test_a_package_that_is_not_installed_is_asked_for_before_anything_is_scored(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ServiceError, match="run `pip install highdicom`"):
        require_archive(["dicomweb://pacs/dw?StudyDate=20260101"])
    with pytest.raises(ServiceError, match="run `pip install python-multipart`"):
        Archive(parse("dicomweb://pacs/dw"))
