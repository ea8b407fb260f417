"""What tables of texts say is taken as it is written."""

import pytest

from pneumo.data.tables.text_table import read_texts
from pneumo.errors import DataError


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "N/A"])
def test_a_name_that_looks_like_a_missing_value_is_a_name_and_an_empty_cell_is_none(tmp_path, name):
    (tmp_path / "labels.csv").write_text(f"path,patient\n{name},{name}\nb.png,\n")
    table = read_texts(tmp_path / "labels.csv", lambda there: {title: title for title in there}, "label file")
    assert table["path"].tolist() == [name, "b.png"]
    assert table["patient"].isna().tolist() == [False, True] and table["patient"][0] == name


@pytest.mark.parametrize(
    "rows", ["a.png,NORMAL,p1,x", "a.png,NORMAL,p1,x,y", "a.png,NORMAL,p1\nb.png,NORMAL,Smith, John"]
)
def test_rows_with_more_values_than_there_are_titles_are_refused(tmp_path, rows):
    """pandas would name rows by their first value, and shift the others, or cut what is too much: a comma in a name."""
    (tmp_path / "labels.csv").write_text(f"path,label,patient\n{rows}\n")
    with pytest.raises(DataError, match=r"labels.csv cannot be read .*(more values|line 3, saw 4)"):
        read_texts(tmp_path / "labels.csv", lambda there: {title: title for title in ("path", "label")}, "label file")
