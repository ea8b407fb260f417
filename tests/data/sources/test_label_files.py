import pandas as pd
import pytest

from pneumo.data.sources.label_files import list_labels
from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data


@pytest.fixture
def scans(make, tmp_path):
    folder = tmp_path / "scans"
    for number in range(4):
        make.write(folder / f"images/scan {number}.png", make.encoded(make.picture(number), "PNG"))
    return folder


ROWS = [("scan 0.png", "normal"), ("images/scan 1.png", "NORMAL"), ("scan 2.png", "1"), ("scan 3.png", "Pneumonia")]


def csv(folder, rows, header="path,label"):
    text = "\n".join([header, *(",".join(row) for row in rows)])
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder / "labels.csv"


def test_a_label_file_is_found_in_its_folder_and_names_are_looked_up_below(scans, home):
    csv(scans, ROWS)
    inventory = ingest(str(scans), home, Data())
    rows = pd.read_parquet(inventory.manifest)
    assert dict(zip(rows["path"], rows["label"], strict=True)) == {
        "images/scan 0.png": "NORMAL",
        "images/scan 1.png": "NORMAL",
        "images/scan 2.png": "PNEUMONIA",
        "images/scan 3.png": "PNEUMONIA",
    }


def test_columns_can_be_named_and_give_patient_subtype_and_split(scans):
    table = pd.DataFrame(ROWS, columns=["file", "finding"]).assign(who=[7, 7, 8, 9], kind=[None, None, "Virus", None])
    table["part"] = ["train", "test", "val", ""]
    table.to_parquet(scans / "table.parquet")
    names = {"path": "file", "label": "finding", "patient": "who", "subtype": "kind", "split": "part"}
    entries = list_labels(scans / "table.parquet", names).entries
    assert [entry.patient for entry in entries] == ["7", "7", "8", "9"]
    assert [entry.subtype for entry in entries] == [None, None, "virus", None]
    assert [entry.split for entry in entries] == ["train", "test", "train", ""]


def test_columns_are_found_whatever_their_case_and_spaces(scans):
    rows = [
        (*row, *more) for row, more in zip(ROWS, (("test", "7"), ("train", "7"), ("", "8"), ("Dev", "")), strict=True)
    ]
    entries = list_labels(csv(scans, rows, "Path, LABEL ,Split, Patient"), {"label": "label"}).entries
    assert [(entry.split, entry.patient) for entry in entries] == [
        ("test", "7"),
        ("train", "7"),
        ("", "8"),
        ("train", None),
    ]


def test_two_columns_that_differ_in_case_alone_are_refused_unless_one_is_called_so_exactly(scans):
    rows = [(*row, "train", "test") for row in ROWS]
    with pytest.raises(DataError, match=r"Expected one column split in .*labels.csv, but it has Split, SPLIT: rename"):
        list_labels(csv(scans, rows, "path,label,Split,SPLIT"), {})
    assert {entry.split for entry in list_labels(csv(scans, rows, "path,label,split,SPLIT"), {}).entries} == {"train"}


def test_without_a_column_the_folders_tell_the_split_and_with_one_they_do_not(make, tmp_path):
    folders = {"a": "test/x", "b": "x/Testing", "c": "train", "d": "x"}
    for name, folder in folders.items():
        make.write(tmp_path / f"{folder}/{name}.png", b"x")
    rows = [(f"{name}.png", str(number % 2), "train" if name == "a" else "") for number, name in enumerate(folders)]
    told = {entry.path[-5]: entry.split for entry in list_labels(csv(tmp_path, rows, "path,label,other"), {}).entries}
    assert told == {"a": "test", "b": "test", "c": "train", "d": ""}
    told = {entry.path[-5]: entry.split for entry in list_labels(csv(tmp_path, rows, "path,label,split"), {}).entries}
    assert told == {"a": "train", "b": "", "c": "", "d": ""}


def test_contradictory_folders_are_refused_by_name(make, tmp_path):
    for name in ("train/test/a.png", "train/b.png"):
        make.write(tmp_path / name, b"x")
    with pytest.raises(DataError, match=r"path 'train/test' has 'train' and 'test'"):
        list_labels(csv(tmp_path, [("a.png", "0"), ("b.png", "1")]), {})


def test_images_without_a_row_are_counted(scans):
    assert list_labels(csv(scans, [ROWS[0], ROWS[2]]), {}).skipped == {"image without a row in the label file": 2}


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train", "Training", " TRAIN ", "trn"), "train"),
        (("val", "Valid", "validation", "Dev"), "train"),
        (("test", "Testing", "Test ", "hold-out"), "test"),
        (("holdout", "held out", "HOLD_OUT", "tst"), "test"),
    ],
)
def test_the_usual_spellings_of_splits_are_taken(scans, names, split):
    rows = [(*row, name) for row, name in zip(ROWS, names, strict=True)]
    assert {entry.split for entry in list_labels(csv(scans, rows, "path,label,split"), {}).entries} == {split}


def test_a_split_of_another_name_is_refused_with_file_column_and_value(scans):
    rows = [(*row, name) for row, name in zip(ROWS, ("train", "", "fold 3", "fold 3"), strict=True)]
    with pytest.raises(DataError, match=r"column part of .*labels.csv, but it has 2 rows with 'fold 3': rename them"):
        list_labels(csv(scans, rows, "path,label,part"), {"split": "part"})


def test_a_patient_is_read_without_spaces_and_0_is_one(scans):
    table = pd.DataFrame(ROWS, columns=["path", "label"]).assign(patient=[0, 0, 1, 1])
    table.to_parquet(scans / "labels.parquet")
    assert [entry.patient for entry in list_labels(scans / "labels.parquet", {}).entries] == ["0", "0", "1", "1"]
    rows = [(*row, patient) for row, patient in zip(ROWS, ("a", " a ", " ", "b"), strict=True)]
    entries = list_labels(csv(scans, rows, "path,label,patient"), {}).entries
    assert [entry.patient for entry in entries] == ["a", "a", None, "b"]


@pytest.mark.parametrize(
    ("rows", "header", "text"),
    [
        (ROWS, "file,label", "Expected a column path .* it has file, label"),
        ([*ROWS, ROWS[0]], "path,label", r"1 image named twice \('images/scan 0.png'\)"),
        ([*ROWS, ("scan 9.png", "0")], "path,label", r"1 row whose image is not there \('scan 9.png'\)"),
        ([*ROWS[:3], ("scan 3.png", "covid")], "path,label", r"1 label other than NORMAL .*'covid'"),
        ([*ROWS, ("", "1")], "path,label", rf"1 row without path or label \('{len(ROWS) + 2}'\)"),
        ([*ROWS, ("../../secret.png", "1")], "path,label", "1 path leading outside"),
        (ROWS[:2], "path,label", "no PNEUMONIA"),
        ([], "", "is empty: fill it in"),
    ],
)
def test_a_wrong_label_file_is_refused_with_the_rows(scans, rows, header, text):
    with pytest.raises(DataError, match=text):
        list_labels(csv(scans, rows, header), {})


def test_a_named_column_that_is_missing_is_refused(scans):
    with pytest.raises(DataError, match=r"column who in .*data.columns"):
        list_labels(csv(scans, ROWS), {"patient": "who"})


@pytest.mark.parametrize("kind", ["Int64", "float64"])
def test_whole_numbers_beside_an_empty_cell_are_the_patients_of_a_csv(scans, kind):
    numbers = pd.array([17, 17, 18, None], dtype="Int64").astype(kind)
    pd.DataFrame(ROWS, columns=["path", "label"]).assign(patient=numbers).to_parquet(scans / "t.parquet")
    entries = list_labels(scans / "t.parquet", {}).entries
    assert [entry.patient for entry in entries] == ["17", "17", "18", None]


def test_patients_whose_numbers_floats_cannot_tell_apart_stay_two(scans):
    numbers = pd.array([2**53, 2**53 + 1, 5, None], dtype="Int64")
    pd.DataFrame(ROWS, columns=["path", "label"]).assign(patient=numbers).to_parquet(scans / "t.parquet")
    assert len({entry.patient for entry in list_labels(scans / "t.parquet", {}).entries}) == 4


def test_a_patient_with_a_fraction_is_refused(scans):
    table = pd.DataFrame(ROWS, columns=["path", "label"]).assign(patient=[1.5, 2, 3, 4])
    table.to_parquet(scans / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet cannot be read .*1\.5"):
        list_labels(scans / "t.parquet", {})


def test_an_image_without_the_patient_that_others_of_its_patient_have_is_refused(make, tmp_path, home):
    """By its name the first image belongs to the patient who is called A in the second row: they would be two."""
    names = ["person7_virus_1.png", "person7_virus_2.png", "IM-1-1.png", "IM-2-1.png"]
    for number, name in enumerate(names):
        make.write(tmp_path / "scans" / name, make.encoded(make.picture(number), "PNG"))
    labels = ["PNEUMONIA", "PNEUMONIA", "NORMAL", "NORMAL"]
    file = csv(tmp_path / "scans", zip(names, labels, ("", "A", "B", ""), strict=True), "path,label,patient")
    with pytest.raises(DataError, match=r"person7_virus_1\.png and 0 others have an empty cell"):
        ingest(str(file), home, Data())
    csv(tmp_path / "scans", zip(names, labels, ("A", "A", "B", ""), strict=True), "path,label,patient")
    patients = pd.read_parquet(ingest(str(file), home, Data()).manifest).set_index("path")["patient"]
    assert patients[names[0]] == patients[names[1]] and patients["IM-2-1.png"] == "IM-2"


def test_an_image_that_the_pattern_misses_is_refused_where_others_of_its_patient_are_matched(make, tmp_path, home):
    """By its name the second image belongs to the patient whom the pattern calls case7 in the first one."""
    names = ["PNEUMONIA/case7/person7_virus_1.png", "PNEUMONIA/person7_virus_2.png", "NORMAL/case8/IM-1-1.png"]
    for number, name in enumerate(names):
        make.write(tmp_path / "set" / name, make.encoded(make.picture(number), "PNG"))
    pattern = r"/(?P<patient>case\d+)/"
    with pytest.raises(DataError, match=r"patient_pattern .*person7_virus_2\.png and 0 others have no match"):
        ingest(str(tmp_path / "set"), home, Data(patient_pattern=pattern))
    (tmp_path / "set" / names[1]).rename(tmp_path / "set/PNEUMONIA/case7/person7_virus_2.png")
    rows = pd.read_parquet(ingest(str(tmp_path / "set"), home, Data(patient_pattern=pattern)).manifest)
    assert rows.groupby("label")["patient"].nunique().tolist() == [1, 1]


@pytest.mark.parametrize("cell", ["1950-01-02", "a.PNG", "1.2.840.77"])
def test_the_first_row_of_a_file_without_titles_is_not_quoted(scans, cell):
    (scans / "labels.csv").write_text(f"Müller Hans;{cell};sick\n" * 2, encoding="utf-8")
    with pytest.raises(DataError, match=r"in the first line of .*labels\.csv, but it holds a row") as caught:
        list_labels(scans / "labels.csv", {})
    assert "Müller" not in str(caught.value)
