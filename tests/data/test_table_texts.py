"""What tables of texts say is taken as it is written."""

import pytest

from pneumo.data.tables.text_table import read_texts


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "N/A"])
def test_a_name_that_looks_like_a_missing_value_is_a_name_and_an_empty_cell_is_none(tmp_path, name):
    (tmp_path / "labels.csv").write_text(f"path,patient\n{name},{name}\nb.png,\n")
    table = read_texts(tmp_path / "labels.csv", lambda there: {title: title for title in there}, "label file")
    assert table["path"].tolist() == [name, "b.png"]
    assert table["patient"].isna().tolist() == [False, True] and table["patient"][0] == name
