"""Images whose patients are not known: told, and a large set of them is stopped."""

import pandas as pd
import pytest

from pneumo.data.quality.gate import require, validate
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import entries_of, make_version
from pneumo.errors import GateFailedError
from pneumo.settings.data import Data, Gate
from tests.data.quality.checking import LOOSE, check

UNKNOWN = "patients are known"


@pytest.fixture
def nameless(make, tmp_path):
    """24 images of 8 patients, whose names tell the patient in no known way."""
    for number in range(24):
        label = "PNEUMONIA" if number % 2 else "NORMAL"
        make.write(
            tmp_path / f"set/{label}/{number // 2 % 4}{label[0]}_{number}.png", make.encoded(make.picture(number))
        )
    return tmp_path / "set"


def test_unknown_patients_are_told_and_stop_a_large_set(nameless, home):
    report, rows = check(nameless, home, Gate(patients_unknown_limit=24))
    assert report.passed
    assert (rows[UNKNOWN].passed, rows[UNKNOWN].severity) == (False, "warning")
    assert rows[UNKNOWN].observed == "violated by 24 of 24 images"
    report, rows = check(nameless, home, Gate(patients_unknown_limit=23))
    with pytest.raises(GateFailedError, match=r"data.columns: \{patient: ...\}.*data.patient_pattern.*NORMAL/0N_0.png"):
        require(report)
    allowed = Gate(patients_unknown_limit=23, severity={UNKNOWN: "warning"})
    assert check(nameless, home, allowed)[0].passed


def test_one_known_patient_makes_it_a_warning(make, nameless, home):
    make.write(nameless / "NORMAL/IM-0001-0001.jpeg", make.encoded(make.picture(30)))
    report, rows = check(nameless, home, Gate(patients_unknown_limit=0))
    assert report.passed
    assert rows[UNKNOWN].observed == "violated by 24 of 25 images"


def test_a_pattern_or_a_label_file_makes_patients_known(nameless, home):
    pattern = Data(patient_pattern=r"/(?P<patient>[^/_]+)_[^/]*$")
    inventory = ingest(str(nameless), home, pattern)
    assert pd.read_parquet(inventory.manifest)["patient"].nunique() == 8
    rows = {row.name: row for row in validate(inventory, home, Gate(patients_unknown_limit=0), None).rows}
    assert rows[UNKNOWN].passed
    paths = sorted(path.relative_to(nameless).as_posix() for path in nameless.rglob("*.png"))
    table = pd.DataFrame({"path": paths, "label": [path.split("/")[0] for path in paths]})
    table["patient"] = table["path"].str.extract(r"/(.*)_")
    table.to_csv(nameless / "labels.csv", index=False)
    assert check(nameless, home, Gate(patients_unknown_limit=0))[1][UNKNOWN].passed


def test_an_unknown_patient_stays_unknown_in_a_version_and_is_found_in_an_older_one(nameless, home):
    report = validate(ingest(str(nameless), home, Data()), home, LOOSE, None)
    version = make_version(ingest(str(nameless), home, Data()), report, home)
    assert not check(f"version:{version.digest}", home)[1][UNKNOWN].passed
    older = pd.read_parquet(version.manifest).drop(columns="patient_known")
    older.loc[0, "patient"] = "somebody"
    older.to_parquet(version.manifest)
    assert [entry.patient_known for entry in entries_of(version)] == [True] + [False] * 23
