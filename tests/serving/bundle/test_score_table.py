"""A table of answers to many cells, scored some at a time."""

import numpy as np

from pneumo.serving.bundle import score_table
from pneumo.serving.bundle.score_table import score_cells


def test_rows_keep_their_place_over_chunks(bundle, tiny, monkeypatch):
    monkeypatch.setattr(score_table, "CHUNK", 2)
    images = list(tiny.pictures(5))
    table = score_cells(bundle, [images[0], None, *images[1:]])
    expected = bundle.score(np.stack(images)).probability
    np.testing.assert_allclose(table["probability"].dropna(), expected, atol=1e-6)
    assert table["error"].notna().tolist() == [False, True, False, False, False, False]
    assert "row 1 holds nothing" in table["error"][1]
