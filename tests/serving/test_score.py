import json

import numpy as np
import pandas as pd
import pytest

from pneumo.errors import DataError
from pneumo.serving import cells as cells_module
from pneumo.serving import score as scoring
from pneumo.serving.cells import score_cells
from pneumo.serving.paths import find_images
from pneumo.serving.score import require_writable, score
from pneumo.tracking.scoring import Answer


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


def read(path):
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_image_is_a_row_and_a_broken_one_has_an_error(folder, answer, bundle, tiny, tmp_path, suffix):
    out = tmp_path / f"predictions{suffix}"
    result = score(find_images([str(folder)]), answer, "tiny 1", out)
    table = read(out)
    assert (result.images, result.errors, result.resumed) == (6, 1, 0)
    assert result.positive == (table["label"] == "PNEUMONIA").sum() and 0 <= result.unlike <= 5
    assert list(table.columns) == ["path", "probability", "label", "error", "unlike"]
    names = ["0.png", "1.png", "2.png", "broken.jpeg", "3.png", "4.png"]
    assert [path.rsplit("/", 1)[1] for path in table["path"]] == names
    good = table["error"].isna()
    np.testing.assert_allclose(table.loc[good, "probability"], bundle.score(tiny.pictures(5)).probability, atol=1e-6)
    assert "broken.jpeg cannot be decoded" in table.loc[~good, "error"].item()


def test_the_table_says_which_images_are_unlike_the_training_data(answer, bundle, tiny, tmp_path):
    pictures = [*tiny.pictures(2), np.full((tiny.SIZE, tiny.SIZE), 255, np.uint8)]
    for number, picture in enumerate(pictures):
        (tmp_path / f"{number}.png").write_bytes(tiny.encoded(picture))
    expected = bundle.score(np.stack(pictures)).unlike.tolist()
    result = score(find_images([str(tmp_path)]), answer, "tiny 1", tmp_path / "predictions.csv")
    assert expected[-1] and read(tmp_path / "predictions.csv")["unlike"].tolist() == expected
    assert result.unlike == sum(expected)


def test_a_scoring_that_was_cut_off_goes_on(folder, answer, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CHUNK", 2)
    seen, out = [], tmp_path / "predictions.csv"

    def dies_in_the_second_chunk(cells):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.extend(cells)
        return answer(cells)

    with pytest.raises(KeyboardInterrupt):
        score(find_images([str(folder)]), dies_in_the_second_chunk, "tiny 1", out)
    assert not out.exists()
    (partial_file,) = tmp_path.glob("*.partial")
    with partial_file.open("a") as file:
        file.write(json.dumps({"path": "half a li"})[:-1])
    steps = []
    result = score(
        find_images([str(folder)]), answer, "tiny 1", out, on_progress=lambda done, total: steps.append((done, total))
    )
    assert result.resumed == 2 and steps == [(2, 6), (4, 6), (6, 6)]
    assert read(out)["path"].nunique() == 6 and not list(tmp_path.glob("*.partial"))


def test_what_another_model_scored_is_not_taken_up(folder, answer, tmp_path):
    out = tmp_path / "predictions.csv"
    (tmp_path / "predictions.csv.tiny-1.partial").write_text('{"path": "a"}\n')
    assert score(find_images([str(folder)]), answer, "tiny 2", out).resumed == 0


def test_a_place_named_twice_is_scored_once(folder, answer, tmp_path):
    result = score(find_images([str(folder), str(folder / "0.png")]), answer, "tiny 1", tmp_path / "predictions.csv")
    assert result.images == 6


def test_a_missing_place_is_named(tmp_path):
    with pytest.raises(DataError, match=r"Expected an image file, a folder or s3://bucket/prefix, but .*nowhere"):
        find_images([str(tmp_path / "nowhere")])


def test_an_output_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"ending in \.csv or \.parquet, got .*predictions\.xlsx"):
        require_writable(tmp_path / "predictions.xlsx")


def test_rows_keep_their_place_over_chunks(bundle, tiny, monkeypatch):
    monkeypatch.setattr(cells_module, "CHUNK", 2)
    images = list(tiny.pictures(5))
    table = score_cells(bundle, [images[0], None, *images[1:]])
    expected = bundle.score(np.stack(images)).probability
    np.testing.assert_allclose(table["probability"].dropna(), expected, atol=1e-6)
    assert table["error"].notna().tolist() == [False, True, False, False, False, False]
    assert "row 1 holds nothing" in table["error"][1]
