import re

import pandas as pd
import pytest
from PIL import Image, ImageOps

from pneumo.data.quality.gate import require, validate
from pneumo.data.quality.image_expectations import IMAGES
from pneumo.data.quality.set_expectations import FIGURES
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import entries_of, make_version
from pneumo.errors import GateFailedError, SettingsError
from pneumo.sections import Data, Gate

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


def test_a_champion_of_before_is_compared_by_what_its_manifest_tells(chest_set, home, tmp_path):
    manifest = pd.read_parquet(ingest(str(chest_set), home, Data()).manifest)
    manifest.drop(columns=["histogram", "phash", "pixels"]).to_parquet(tmp_path / "old.parquet")
    report, rows = check(chest_set, home, reference=tmp_path / "old.parquet")
    assert report.passed and "sizes as before" in rows and "intensities as before" not in rows


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
        "IM-0007-0000",  # almost as one in test
    }
    assert reasons["train/NORMAL/tiny.png"] == "width: expected width 64 to 10,000 pixels, found 30"


def almost(make, path, of, shift=1):
    """Write a picture that is a little brighter than another: its pixels differ, its perceptual hash hardly."""
    with Image.open(of) as image:
        make.write(path, make.encoded(image.point(lambda value: min(255, value + shift)), "PNG"))


def test_both_sides_of_a_pair_are_named_and_the_one_outside_test_is_taken_out(make, chest_set, home):
    train = chest_set / "train/NORMAL"
    almost(make, chest_set / "test/NORMAL/again.jpeg", of=train / "IM-0007-0000.jpeg")
    almost(make, train / "IM-0007-copy.jpeg", of=train / "IM-0007-0000.jpeg", shift=2)
    almost(make, train / "IM-0005-again.jpeg", of=train / "IM-0003-0000.jpeg")
    report, rows = check(chest_set, home)
    assert rows["no near-duplicates"].observed == "violated by 5 of 51 images"
    assert rows["no near-duplicates"].files == (
        "test/NORMAL/again.jpeg ~ train/NORMAL/IM-0007-0000.jpeg ~ train/NORMAL/IM-0007-copy.jpeg",
        "train/NORMAL/IM-0003-0000.jpeg ~ train/NORMAL/IM-0005-again.jpeg",
    )
    assert rows["no near-duplicates across splits"].files == (
        "train/NORMAL/IM-0007-0000.jpeg ~ test/NORMAL/again.jpeg",
        "train/NORMAL/IM-0007-copy.jpeg ~ test/NORMAL/again.jpeg",
    )
    split = pd.read_parquet(make_version(ingest(str(chest_set), home, Data()), report, home).manifest)
    split = split.set_index("path")["split"]
    assert split["test/NORMAL/again.jpeg"] == "test"
    assert not {"train/NORMAL/IM-0007-0000.jpeg", "train/NORMAL/IM-0007-copy.jpeg"} & set(split.index)
    assert split["train/NORMAL/IM-0003-0000.jpeg"] == split["train/NORMAL/IM-0005-again.jpeg"]


def test_without_a_test_folder_nothing_is_said_to_be_apart_from_it_and_pairs_stay_in_one_split(make, tmp_path, home):
    root = make.kaggle_set(tmp_path / "set", test=False)
    pairs = [(f"PNEUMONIA/person{n}_bacteria_0.jpeg", f"PNEUMONIA/person{n + 100}_virus_0.jpeg") for n in range(8)]
    for first, second in pairs:
        almost(make, root / second, of=root / first)
    report, rows = check(root, home)
    assert not [name for name in rows if "across splits" in name or "test" in name]
    assert len(rows["no near-duplicates"].files) == 8
    split = pd.read_parquet(make_version(ingest(str(root), home, Data()), report, home).manifest)
    split = split.set_index("path")["split"]
    assert split.nunique() == 3
    assert all(split[first] == split[second] for first, second in pairs)


def test_pictures_that_chain_many_patients_together_are_told(make, chest_set, home):
    train = chest_set / "train/NORMAL"
    assert check(chest_set, home)[1]["groups are small"].passed
    for number in range(5):
        almost(make, train / f"NORMAL2-IM-{number:04d}-9.jpeg", of=train / "IM-0002-0000.jpeg", shift=number + 1)
    row = check(chest_set, home)[1]["groups are small"]
    assert (row.passed, row.observed) == (False, "0.132")  # 7 of 53: with the other image of the first patient


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
    assert "expect lower figures on them than on validation" in normal.meaning
    assert normal.observed in (report.docs / "index.html").read_text()


def test_without_a_test_folder_no_place_is_compared(make, home, tmp_path):
    _, rows = check(make.kaggle_set(tmp_path / "plain", patients=24, test=False), home)
    assert not [name for name in rows if name.startswith("test ")]


def test_a_champion_of_these_very_images_asks_for_no_new_check(chest_set, home):
    first, _ = check(chest_set, home)
    version = make_version(ingest(str(chest_set), home, Data()), first, home)
    assert check(chest_set, home, reference=version.manifest)[0] == first
    fewer = home / "fewer.parquet"
    pd.read_parquet(version.manifest).iloc[1:].to_parquet(fewer)
    assert check(chest_set, home, reference=fewer)[0].key != first.key
