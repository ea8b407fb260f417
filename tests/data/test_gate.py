import re

import pandas as pd
import pytest
from PIL import Image, ImageOps

from pneumo.data.expectations import FIGURES, IMAGES
from pneumo.data.gate import require, validate
from pneumo.data.sources import ingest
from pneumo.errors import GateFailedError, SettingsError
from pneumo.settings import Data, Gate

LOOSE = Gate(quarantine_limit=0.2)


def check(root, home, settings=LOOSE, reference=None):
    report = validate(ingest(str(root), home, Data()), home, settings, reference)
    return report, {row.name: row for row in report.rows}


def test_a_good_set_passes_every_expectation_but_the_size_of_the_set(chest_set, home):
    report, rows = check(chest_set, home, Gate())
    assert report.passed
    assert [row.name for row in report.rows if not row.passed] == ["patients per class"]
    assert len(rows) == len(IMAGES) + len(FIGURES)
    assert report.quarantined == 0
    require(report)


def test_data_docs_are_one_page_with_every_expectation(spoiled):
    report, rows = spoiled
    assert [path.name for path in report.docs.iterdir()] == ["index.html"]
    page = (report.docs / "index.html").read_text()
    assert all(f"<strong>{name[0].upper()}{name[1:]}.</strong>" in page for name in rows)
    assert "Great Expectations 1." in page
    assert "ExpectColumnValuesToBeNull(column=patient_across), suite &ldquo;images&rdquo;, severity error" in page
    assert "train/NORMAL/tiny.png: 30" in page


def test_data_docs_need_no_network_and_escape_what_a_file_is_called(make, chest_set, home):
    make.write(chest_set / "train/NORMAL/<img src=x onerror=alert(1)>.jpeg", b"broken")
    page = (check(chest_set, home)[0].docs / "index.html").read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;.jpeg" in page
    assert not re.findall(r"<(?:script|link|img|iframe)", page)
    assert "http" not in page


def test_a_report_is_made_once_and_its_places_follow_the_home(chest_set, home):
    first, _ = check(chest_set, home)
    made = (home / "cache" / "validate" / first.key).stat().st_mtime_ns
    assert check(chest_set, home)[0] == first
    assert (home / "cache" / "validate" / first.key).stat().st_mtime_ns == made


NEW = "train/NORMAL/IM-0099-0001.jpeg"


def patient_twice(make, root):
    make.write(root / "test/NORMAL/IM-0002-0009.jpeg", make.encoded(make.picture(5)))


def copied(make, root):
    make.write(root / "train/NORMAL/IM-0003-copy.jpeg", (root / "train/NORMAL/IM-0003-0000.jpeg").read_bytes())


def unreadable(make, root):
    make.write(root / NEW, b"not a picture")


def spoil_pictures(make, root):
    """One file for each kind of odd picture, named after it."""
    framed = Image.new("L", (96, 96), 230)
    framed.paste(make.picture(12, (60, 60)).point(lambda value: value // 2), (18, 18))
    marked = make.picture(13, (224, 224)).point(lambda value: value // 3)
    marked.paste(255, (5, 5, 17, 17))
    pictures = {
        "blank": Image.new("L", (90, 90), 120),
        "tiny": make.picture(10, (30, 80)),
        "stretched": make.picture(11, (400, 80)),
        "dark": make.picture(14).point(lambda value: value if value > 200 else 0),
        "white": make.picture(15).point(lambda value: min(255, value * 4)),
        "framed": framed,
        "lopsided": Image.linear_gradient("L").rotate(90).resize((96, 96)),
        "marked": marked,
    }
    for name, image in pictures.items():
        make.write(root / f"train/NORMAL/{name}.png", make.encoded(image, "PNG"))


def spoil_labels(make, root):
    """Copies, conflicts and leaks."""
    one = (root / "train/NORMAL/IM-0002-0000.jpeg").read_bytes()
    make.write(root / "train/PNEUMONIA/conflict.jpeg", one)
    make.write(root / "test/NORMAL/leak.jpeg", (root / "train/NORMAL/IM-0005-0000.jpeg").read_bytes())
    make.write(root / "train/NORMAL/person7_virus_99.jpeg", make.encoded(make.picture(16)))
    make.write(root / "val/NORMAL/IM-0006-0009.jpeg", make.encoded(make.picture(17)))
    with Image.open(root / "train/NORMAL/IM-0007-0000.jpeg") as image:
        make.write(root / "test/NORMAL/again.jpeg", make.encoded(image, quality=70))


def spoil_class(make, root):
    """All pneumonia files in colour and larger."""
    for number, path in enumerate(sorted(root.rglob("person*"))):
        image = make.picture(2000 + number, (200, 150))
        make.write(path, make.encoded(ImageOps.colorize(image, "black", "white")))


@pytest.fixture(scope="module")
def spoiled(make, tmp_path_factory):
    """The gate's report on a set with everything wrong, and its rows by name."""
    folder = tmp_path_factory.mktemp("spoiled")
    root = make.kaggle_set(folder / "chest_xray")
    spoil_class(make, root)
    spoil_labels(make, root)
    spoil_pictures(make, root)
    unreadable(make, root)
    patient_twice(make, root)
    copied(make, root)
    return check(root, folder / "home")


@pytest.mark.parametrize(
    ("name", "severity", "file"),
    [
        ("readable", "warning", "IM-0099-0001"),
        ("not blank", "warning", "blank"),
        ("width", "warning", "tiny"),
        ("aspect", "warning", "stretched"),
        ("not dark", "warning", "dark"),
        ("not overexposed", "warning", "white"),
        ("not inverted", "warning", "framed"),
        ("chest-like", "warning", "lopsided"),
        ("no markers", "warning", "marked"),
        ("one label per picture", "warning", "conflict"),
        ("name agrees with label", "warning", "person7_virus_99"),
        ("no duplicates", "warning", "IM-0003-copy"),
        ("no duplicates across splits", "error", "leak"),
        ("no near-duplicates across splits", "warning", "again"),
        ("no near-duplicates", "warning", "again"),
        ("no patient across splits", "error", "IM-0002-0009"),
        ("no patient in train and val", "warning", "IM-0006-0009"),
        ("colour tells no label", "warning", ""),
        ("size tells no label", "warning", ""),
    ],
)
def test_what_is_wrong_is_found_and_named(spoiled, name, severity, file):
    row = spoiled[1][name]
    assert not row.passed
    assert row.severity == severity
    assert file in " ".join(row.files)


def test_only_unusable_images_are_taken_out_each_with_a_reason(spoiled):
    reasons = pd.read_csv(spoiled[0].quarantine).set_index("path")["reason"]
    assert {path.rpartition("/")[2].partition(".")[0] for path in reasons.index} == {
        "IM-0099-0001",
        "blank",
        "tiny",
        "conflict",
        "IM-0002-0000",
    }
    assert reasons["train/NORMAL/tiny.png"] == "width: expected width 64 to 10,000 pixels, found 30"


def test_an_error_raises_with_numbers_and_files(make, chest_set, home):
    patient_twice(make, chest_set)
    report, _ = check(chest_set, home)
    with pytest.raises(
        GateFailedError, match=r"no patient across splits: .* found otherwise in 3 of 49 images \(.*IM-0002"
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


def test_a_set_with_no_readable_image_stops(make, tmp_path, home):
    for label in ("NORMAL", "PNEUMONIA"):
        make.write(tmp_path / f"set/{label}/a.jpeg", b"broken")
    report, rows = check(tmp_path / "set", home)
    assert not report.passed
    assert rows["quarantine"].observed == "1"


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
    assert "expect less on them than on validation" in normal.meaning
    assert normal.observed in (report.docs / "index.html").read_text()


def test_without_a_test_folder_no_place_is_compared(make, home, tmp_path):
    _, rows = check(make.kaggle_set(tmp_path / "plain", patients=24, test=False), home)
    assert not [name for name in rows if name.startswith("test ")]
