"""A folder of X-rays, a model that answers, and tables of scores."""

import pandas as pd
import pytest

from pneumo.serving.batch.output import open_output
from pneumo.serving.bundle.score_table import score_cells
from pneumo.serving.fresh_process.client import Answer


@pytest.fixture
def folder(tiny, tmp_path):
    place = tmp_path / "images"
    (place / "sub").mkdir(parents=True)
    for number, picture in enumerate(tiny.pictures(5)):
        (place / ("sub" if number > 2 else ".") / f"{number}.png").write_bytes(tiny.encoded(picture))
    (place / "broken.jpeg").write_text("no image")
    (place / "notes.txt").write_text("not looked at")
    (place / "._0.png").write_text("not looked at")
    return place


@pytest.fixture
def answer(bundle):
    def rows(cells):
        table = score_cells(bundle, cells).astype({"probability": object})
        return [Answer(**row) for row in table.where(table.notna(), None).to_dict("records")]

    return rows


def table_at(path):
    return open_output(str(path), path.parent)


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
