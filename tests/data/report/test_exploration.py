import re

import pytest

from pneumo.data.quality.gate import validate
from pneumo.data.report.exploration import report
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import make_version
from pneumo.settings.data import Data, Gate


@pytest.fixture(scope="module")
def page(make, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    root = make.kaggle_set(folder / "set <b>")
    make.write(root / "train/NORMAL/copy.jpeg", (root / "train/NORMAL/IM-0002-0000.jpeg").read_bytes())
    make.write(root / "train/NORMAL/broken.jpeg", b"broken")
    home = folder / "home"
    inventory = ingest(str(root), home, Data())
    gate = validate(inventory, home, Gate(quarantine_limit=0.1), None)
    version = make_version(inventory, gate, home)
    path = report(version, gate, home)
    assert report(version, gate, home) == path
    return path


def test_the_page_needs_no_other_file_and_is_small(page):
    text = page.read_text()
    assert page.stat().st_size < 3_000_000
    assert set(re.findall(r'(?:src|href)="([a-z]+):', text)) == {"data"}
    assert "<script" not in text


def test_the_page_says_what_is_in_the_set_and_what_is_wrong(page):
    text = re.sub(r"\s+", " ", re.sub(r"data:[^\"]+", "", page.read_text()))
    assert "49 chest X-rays of 25 patients, 65 % of the images with pneumonia (16 bacterial, 16 viral)" in text
    assert "1 file was taken out" in text
    assert "broken.jpeg: readable: expected every file can be decoded" in text
    assert "1 picture is there more than once" in text
    assert "<strong>Patients per class.</strong> Expected: at least 50 patients in each class." in text
    assert "Where the test normals are from cannot be told: at least 20 patients are needed" in text
    assert "With so few, chance decides much of every result." in text


def test_names_are_escaped(page):
    assert "set &lt;b&gt;" in page.read_text()
