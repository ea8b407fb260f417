"""A written table is read as it was written."""

import pandas as pd

from pneumo.serving.batch.table import COLUMNS, read_table, to_table


def test_a_file_called_na_keeps_its_name_and_an_unreadable_one_has_no_probability(tmp_path):
    rows = [("NA", "1" * 64, 0.5, "NORMAL", None, False), ("null", "2" * 64, None, None, "nan", False)]
    to_table([dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS).to_csv(tmp_path / "t.csv", index=False)
    found = read_table(tmp_path / "t.csv")
    assert found["path"].tolist() == ["NA", "null"] and found["sha256"].tolist() == ["1" * 64, "2" * 64]
    assert found["error"].tolist()[1] == "nan"
    assert found["probability"].tolist()[0] == 0.5 and pd.isna(found["probability"][1])
