"""The gate as a whole: what passes, what stops a run, and the page that tells."""

import re

import pandas as pd
import pytest

from pneumo.data.quality.gate import require
from pneumo.data.quality.image_expectations import IMAGES
from pneumo.data.quality.set_expectations import FIGURES
from pneumo.data.sources.schemes import ingest
from pneumo.errors import GateFailedError, SettingsError
from pneumo.settings.data import Data, Gate
from tests.data.quality.checking import NEW, check, copied, patient_twice, unreadable


def test_a_good_set_passes_every_expectation_but_the_size_of_the_set(chest_set, home):
    report, rows = check(chest_set, home, Gate())
    assert report.passed
    assert [row.name for row in report.rows if not row.passed] == ["patients per class"]
    assert len(rows) == len(IMAGES) + len(FIGURES)
    assert report.quarantined == 0
    require(report)


def test_data_docs_need_no_network_and_escape_what_a_file_is_called(make, chest_set, home):
    make.write(chest_set / "train/NORMAL/<img src=x onerror=alert(1)>.jpeg", b"broken")
    page = (check(chest_set, home)[0].docs / "index.html").read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;.jpeg" in page
    assert not re.findall(r"<(?:script|link|img|iframe)", page)
    assert "http" not in page


def test_a_report_is_made_once_and_its_places_follow_the_home(chest_set, home):
    first, _ = check(chest_set, home)
    made = first.quarantine.stat().st_mtime_ns
    assert check(chest_set, home)[0] == first
    assert first.quarantine.stat().st_mtime_ns == made


@pytest.mark.parametrize("champion", [False, True])
def test_a_set_that_cannot_be_read_fails_the_gate_and_not_the_program(make, chest_set, home, tmp_path, champion):
    reference = ingest(str(chest_set), home, Data()).manifest if champion else None
    for label in ("NORMAL", "PNEUMONIA"):
        make.write(tmp_path / f"broken/{label}/1.png", b"no image")
    report, rows = check(tmp_path / "broken", home, reference=reference)
    assert not report.passed and rows["quarantine"].observed == "1"


def test_an_error_raises_with_numbers_and_files(make, chest_set, home):
    patient_twice(make, chest_set)
    report, _ = check(chest_set, home)
    with pytest.raises(
        GateFailedError, match=r"no patient across splits: .* found violated by 3 of 49 images \(.*IM-0002"
    ):
        require(report)


def test_quarantine_over_the_limit_stops(make, chest_set, home):
    unreadable(make, chest_set)
    report, rows = check(chest_set, home, Gate(quarantine_limit=0.01))
    assert not report.passed
    assert rows["quarantine"].observed == "0.0204"
    reasons = pd.read_csv(report.quarantine)
    assert reasons["path"].tolist() == [NEW]
    assert "its content is of another kind" in reasons["reason"][0]


def test_severity_can_be_set_and_must_name_an_expectation(make, chest_set, home):
    copied(make, chest_set)
    assert not check(chest_set, home, Gate(severity={"no duplicates": "error"}))[0].passed
    with pytest.raises(SettingsError, match=r"no expectation is called no doubles; there are .*no duplicates"):
        check(chest_set, home, Gate(severity={"no doubles": "error"}))


def test_one_class_in_the_test_folder_and_lone_classes_stop(make, chest_set, home):
    for path in (chest_set / "test/NORMAL").iterdir():
        path.unlink()
    report, rows = check(chest_set, home)
    assert not report.passed
    assert not rows["both classes in test"].passed


def test_images_in_quarantine_do_not_count_as_a_class(make, chest_set, home):
    for path in (chest_set / "test/NORMAL").iterdir():
        path.write_bytes(b"broken")
    assert not check(chest_set, home, Gate(quarantine_limit=1))[1]["both classes in test"].passed


def test_a_set_with_no_readable_image_stops(make, tmp_path, home):
    for label in ("NORMAL", "PNEUMONIA"):
        make.write(tmp_path / f"set/{label}/a.jpeg", b"broken")
    report, rows = check(tmp_path / "set", home)
    assert not report.passed
    assert rows["quarantine"].observed == "1"
