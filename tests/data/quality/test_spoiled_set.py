"""A set with everything wrong: each fault is found, named and has its severity."""

import pandas as pd
import pytest
from PIL import Image, ImageOps

from tests.data.quality.checking import check, copied, patient_twice, unreadable


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


def test_data_docs_are_one_page_with_every_expectation(spoiled):
    report, rows = spoiled
    assert [path.name for path in report.docs.iterdir()] == ["index.html"]
    page = (report.docs / "index.html").read_text()
    assert all(f"<strong>{name[0].upper()}{name[1:]}.</strong>" in page for name in rows)
    assert "Great Expectations 1." in page
    assert "ExpectColumnValuesToBeNull(column=patient_across), suite &ldquo;images&rdquo;, severity error" in page
    assert "train/NORMAL/tiny.png: 30" in page


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
