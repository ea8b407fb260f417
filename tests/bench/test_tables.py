"""Measurements are shown with the columns that their rows have."""

import json

from bench.__main__ import table
from bench.kaggle import PUBLISHED, published
from infra.docs import pages

ROWS = [{"name": "quick, seed 0", "test AUC": 0.99461, "minutes": 1.8}, {"name": "published", "accuracy": 0.9}]


def test_a_column_for_every_key_that_a_row_has_and_an_empty_cell_where_it_lacks_one():
    shown = table("kaggle", ROWS)
    assert [column.header for column in shown.columns] == ["name", "test AUC", "minutes", "accuracy"]
    assert [list(column.cells) for column in shown.columns][1:] == [["0.9946", ""], ["1.8", ""], ["", "0.9"]]


def test_the_site_has_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "PROJECT", tmp_path)
    machine = {"cpu": "one", "cores": 2, "memory_gib": 4}
    file = tmp_path / "bench" / "results" / "kaggle.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"measured": "2026-11-27T12:00:00+00:00", "machine": machine, "rows": ROWS}))
    lines = pages.benchmarks().splitlines()
    assert lines[-4:] == [
        "| name | test AUC | minutes | accuracy |",
        "| --- | --- | --- | --- |",
        "| quick, seed 0 | 0.9946 | 1.8 |  |",
        "| published |  |  | 0.9 |",
    ]


def test_published_figures_stand_in_the_columns_of_ours():
    rows = {row["name"]: row for row in published()}
    assert set(rows) == set(PUBLISHED)
    assert rows["Kermany et al. 2018, Inception-V3"]["test AUC"] == 0.968
    assert "test AUC" not in rows["keras.io example, own network"]
