"""A set beside the champion's data set, and its own test folder beside its other images."""

import re

import pandas as pd
import pytest
from PIL import Image

from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import make_version
from pneumo.settings.data import Data
from tests.data.quality.checking import LOOSE, check


def test_a_champion_of_before_is_compared_by_what_its_manifest_tells(chest_set, home, tmp_path):
    manifest = pd.read_parquet(ingest(str(chest_set), home, Data()).manifest)
    manifest.drop(columns=["histogram", "phash", "pixels"]).to_parquet(tmp_path / "old.parquet")
    report, rows = check(chest_set, home, reference=tmp_path / "old.parquet")
    assert report.passed and "sizes as before" in rows and "intensities as before" not in rows


def test_drift_is_measured_against_the_champions_data(make, chest_set, home):
    version = make.version_of(str(chest_set), home)
    _, same = check(chest_set, home, LOOSE, version.manifest)
    assert same["intensities as before"].passed
    assert same["sizes as before"].passed
    for path in chest_set.rglob("*.jpeg"):
        with Image.open(path) as image:
            make.write(path, make.encoded(image.point(lambda value: 128 + value // 2).resize((150, 150))))
    report, drifted = check(chest_set, home, LOOSE, version.manifest)
    assert not drifted["intensities as before"].passed
    assert not drifted["sizes as before"].passed
    assert report.passed


def test_a_champion_of_these_very_images_asks_for_no_new_check(chest_set, home):
    first, _ = check(chest_set, home)
    version = make_version(ingest(str(chest_set), home, Data()), first, home)
    assert check(chest_set, home, reference=version.manifest)[0] == first
    fewer = home / "fewer.parquet"
    pd.read_parquet(version.manifest).iloc[1:].to_parquet(fewer)
    assert check(chest_set, home, reference=fewer)[0].key != first.key


@pytest.fixture(scope="module")
def toned(make, tmp_path_factory):
    """A set whose own test normals were saved with another tone."""
    root = make.kaggle_set(tmp_path_factory.mktemp("toned") / "chest_xray", patients=84)
    for file in (root / "test/NORMAL").iterdir():
        tone = Image.open(file).point([round(255 * (value / 255) ** 0.6) for value in range(256)])
        file.write_bytes(make.encoded(tone, quality=92))
    return check(root, root.parent / "home")


def test_a_test_folder_from_elsewhere_is_a_warning_for_the_class_that_is(toned):
    report, rows = toned
    normal, pneumonia = rows["test normals as the others"], rows["test pneumonia as the others"]
    assert (normal.passed, pneumonia.passed, report.passed) == (False, True, True)
    assert normal.severity == "warning"
    assert re.fullmatch(r"AUC (1.00|0.[89]\d) \(0.[45]\d between random halves\)", normal.observed)
    assert "expect lower figures on them than on validation" in normal.meaning
    assert normal.observed in (report.docs / "index.html").read_text()


def test_without_a_test_folder_no_place_is_compared(make, home, tmp_path):
    _, rows = check(make.kaggle_set(tmp_path / "plain", patients=24, test=False), home)
    assert not [name for name in rows if name.startswith("test ")]
