"""A sheet with a person's answers makes another version, which trains by its digest; test labels stay as they are."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from pneumo.cli import app
from pneumo.data.corrections import correct, read_corrections
from pneumo.data.prepare import prepare, prepare_inventory
from pneumo.errors import DataError
from pneumo.settings.data import Data, Gate

LIMITS = Gate()


@pytest.fixture
def found(chest_set, home):
    return prepare(str(chest_set), home, Data(), LIMITS)


@pytest.fixture
def sheet(tmp_path, found):
    """Writes a sheet that answers for images by their place among those of a split."""

    def write(split="train", separator=",", **answers):
        rows = pd.read_parquet(found.version.manifest)
        rows = rows[rows["split"] == split].reset_index(drop=True)
        rows["corrected"] = [answers.get(f"n{number}", "") for number in rows.index]
        columns = ["path", "label", "sha256", "corrected"]
        rows[columns].to_csv(tmp_path / "labels.csv", index=False, sep=separator)
        return tmp_path / "labels.csv", rows

    return write


def test_answers_relabel_and_drop_and_the_new_version_comes_out_the_same_by_its_digest(found, sheet, home):
    file, rows = sheet(n0="pneumonia ", n1="DROP", n2=rows_label(found, 2))
    changes = read_corrections(file, found.version)
    assert dict(zip(changes["path"], changes["corrected"], strict=True)) == {
        rows["path"][0]: "PNEUMONIA",
        rows["path"][1]: "DROP",
    }
    made = prepare_inventory(correct(found.inventory, changes, home), home, Data(), LIMITS).version
    manifest = pd.read_parquet(made.manifest).set_index("path")
    assert manifest.loc[rows["path"][0], ["label", "subtype"]].tolist() == ["PNEUMONIA", "none"]
    assert rows["path"][1] not in manifest.index
    assert made.images == found.version.images - 1
    assert prepare(f"version:{made.digest[:12]}", home, Data(), LIMITS).version.digest == made.digest


def rows_label(found, number):
    rows = pd.read_parquet(found.version.manifest)
    return rows[rows["split"] == "train"].reset_index(drop=True)["label"][number]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, "found none: fill some in"),
        ({"n0": "healthy"}, "with something else"),
        ({"n0": "PNEUMONIA", "split": "test"}, "images outside the test set"),
    ],
)
def test_a_sheet_that_cannot_be_followed_is_refused(found, sheet, answers, message):
    with pytest.raises(DataError, match=message):
        read_corrections(sheet(**answers)[0], found.version)


def test_two_answers_and_images_of_another_set_are_refused(found, sheet):
    file, _ = sheet(n0="DROP")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[1].replace("DROP", "PNEUMONIA")]))
    with pytest.raises(DataError, match="with two answers"):
        read_corrections(file, found.version)
    file.write_text(f"sha256,corrected\n{'0' * 64},DROP\n")
    with pytest.raises(DataError, match="that it does not have"):
        read_corrections(file, found.version)


def test_a_sheet_that_a_spreadsheet_saved_with_semicolons_is_read(found, sheet):
    assert len(read_corrections(sheet(separator=";", n0="DROP")[0], found.version)) == 1


def test_the_command_shows_what_changes_and_makes_nothing_unless_it_is_told_to(found, sheet, home, monkeypatch):
    monkeypatch.setenv("PNEUMO_HOME", str(home))
    file, rows = sheet(n0="DROP")
    words = ["correct", found.inventory.source, str(file)]
    refused = CliRunner().invoke(app, words, input="n\n")
    assert refused.exit_code == 1
    assert rows["path"][0] in refused.output and "1 from NORMAL to DROP" in refused.output
    assert len(list(home.glob("cache/split/*"))) == 1
    done = CliRunner().invoke(app, [*words, "--yes"])
    assert done.exit_code == 0, done.output
    assert "to train on it: pneumo train --data version:" in done.output
    assert len(list(home.glob("cache/split/*"))) == 2


def test_titles_of_a_sheet_are_taken_in_capitals_and_one_wrong_row_is_told_as_one(found, sheet):
    file, _ = sheet(n0="DROP")
    file.write_text(file.read_text().replace("sha256,corrected", "SHA256,Corrected"))
    assert len(read_corrections(file, found.version)) == 1
    with pytest.raises(DataError, match=r"but found 1 row with something else \('HEALTHY'\): correct it"):
        read_corrections(sheet(n0="healthy")[0], found.version)
