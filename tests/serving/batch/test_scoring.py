import json
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pneumo.data.store import decode as decode_module
from pneumo.errors import DataError
from pneumo.serving import answer_log
from pneumo.serving.batch import find_images as find_images_module
from pneumo.serving.batch.find_images import steps
from pneumo.serving.batch.scoring import _keeper, score
from pneumo.settings.data import Data
from tests.serving.batch.conftest import read, table_at

find_images = partial(find_images_module.find_images, data=Data(), home=Path("unused"))


def test_what_failed_before_the_cut_is_asked_about_again(folder, answer, tmp_path, monkeypatch):
    """Such as one for which there was no memory a moment ago."""
    monkeypatch.setattr(find_images_module, "STEP", 1)
    out, asked = table_at(tmp_path / "predictions.csv"), []

    def failing(cells):
        asked.append(cells)
        if len(asked) == 3:
            raise ConnectionError("cut")
        return [row.model_copy(update={"error": "no memory"}) if len(asked) == 1 else row for row in answer(cells)]

    with pytest.raises(ConnectionError):
        score(find_images([str(folder)]), failing, "tiny 1", out)
    assert score(find_images([str(folder)]), answer, "tiny 1", out).resumed == 1
    assert "no memory" not in out.file.read_text()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_every_image_is_a_row_and_a_broken_one_has_an_error(folder, answer, bundle, tiny, tmp_path, suffix):
    out = table_at(tmp_path / f"predictions{suffix}")
    result = score(find_images([str(folder)]), answer, "tiny 1", out)
    table = read(out.file)
    assert (result.images, result.errors, result.resumed) == (6, 1, 0)
    assert result.positive == (table["label"] == "PNEUMONIA").sum() and 0 <= result.out_of_distribution <= 5
    assert list(table.columns) == ["path", "sha256", "probability", "label", "error", "out_of_distribution"]
    names = ["0.png", "1.png", "2.png", "broken.jpeg", "3.png", "4.png"]
    assert [path.rsplit("/", 1)[1] for path in table["path"]] == names
    good = table["error"].isna()
    np.testing.assert_allclose(table.loc[good, "probability"], bundle.score(tiny.pictures(5)).probability, atol=1e-6)
    assert "broken.jpeg cannot be decoded" in table.loc[~good, "error"].item()


def test_the_table_says_which_images_are_unlike_the_training_data(answer, bundle, tiny, tmp_path):
    pictures = [*tiny.pictures(2), 255 * (np.indices((tiny.SIZE, tiny.SIZE)).sum(axis=0) % 2).astype(np.uint8)]
    for number, picture in enumerate(pictures):
        (tmp_path / f"{number}.png").write_bytes(tiny.encoded(picture))
    expected = bundle.score(np.stack(pictures)).out_of_distribution.tolist()
    result = score(find_images([str(tmp_path)]), answer, "tiny 1", table_at(tmp_path / "predictions.csv"))
    assert expected[-1] and read(tmp_path / "predictions.csv")["out_of_distribution"].tolist() == expected
    assert result.out_of_distribution == sum(expected)


@pytest.fixture
def cut_off(folder, answer, tmp_path, monkeypatch):
    """A scoring of two images a step that died in its second step; gives its output."""
    monkeypatch.setattr(find_images_module, "STEP", 2)
    seen, out = [], table_at(tmp_path / "predictions.csv")

    def dies_in_the_second_chunk(cells):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.extend(cells)
        return answer(cells)

    with pytest.raises(KeyboardInterrupt):
        score(find_images([str(folder)]), dies_in_the_second_chunk, "tiny 1", out)
    assert not out.file.exists()
    return out


def test_a_scoring_that_was_cut_off_goes_on(cut_off, folder, answer, tmp_path):
    (partial_file,) = tmp_path.glob("*.partial")
    with partial_file.open("a") as file:
        file.write(json.dumps({"sha256": "half a li"})[:-1])
    steps, asked = [], []

    def counted(cells):
        asked.extend(cells)
        return answer(cells)

    images = find_images([str(folder)])
    result = score(images, counted, "tiny 1", cut_off, lambda done, total: steps.append((done, total)))
    assert result.resumed == 2 and len(asked) == 4 and steps == [(2, 6), (4, 6), (6, 6)]
    assert read(cut_off.file)["path"].nunique() == 6 and not list(tmp_path.glob("*.partial"))


def test_a_scoring_that_an_older_pneumo_began_goes_on(cut_off, folder, answer, tmp_path):
    (partial_file,) = tmp_path.glob("*.partial")
    partial_file.write_text(partial_file.read_text().replace("out_of_distribution", "unlike"))
    assert score(find_images([str(folder)]), answer, "tiny 1", cut_off).resumed == 2
    assert read(cut_off.file)["out_of_distribution"].notna().all()


@pytest.mark.parametrize("moment", ["before the log", "after the log", "half a line"])
def test_an_answer_is_logged_once_whenever_the_scoring_is_killed(folder, answer, tmp_path, monkeypatch, moment):
    monkeypatch.setattr(find_images_module, "STEP", 2)
    out, images = table_at(tmp_path / "predictions.csv"), find_images([str(folder)])
    log, steps = _keeper(tmp_path, SimpleNamespace(name="tiny", version="1")), []

    def killed(batch, answers, seconds):
        steps.append(answers)
        if len(steps) < 2 or moment != "before the log":
            log(batch, answers, seconds)
        if len(steps) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(images, answer, "tiny 1", out, keep=killed)
    if moment == "half a line":
        (file,) = (tmp_path / answer_log.FOLDER).iterdir()
        file.write_bytes(file.read_bytes()[:-9])
    again = _keeper(tmp_path, SimpleNamespace(name="tiny", version="1"))
    assert score(images, answer, "tiny 1", out, keep=again).resumed == 2
    table, _ = answer_log.read(tmp_path)
    assert len(table) == 6 and table["image"].nunique() == 6 and set(table["source"]) == {"batch"}
    assert table["probability"].dropna().tolist() == pytest.approx(read(out.file)["probability"].dropna().tolist())
    score(images, answer, "tiny 1", out, keep=again)  # asked anew, answered anew
    assert len(answer_log.read(tmp_path)[0]) == 12


def test_a_file_that_was_replaced_meanwhile_is_scored_anew(cut_off, folder, answer, bundle, tiny):
    other = tiny.pictures(1, seed=9)
    (folder / "0.png").write_bytes(tiny.encoded(other[0]))
    result = score(find_images([str(folder)]), answer, "tiny 1", cut_off)
    assert result.resumed == 1
    assert read(cut_off.file)["probability"][0] == pytest.approx(bundle.score(other).probability[0], abs=1e-6)


def test_a_file_that_was_renamed_meanwhile_keeps_its_score(cut_off, folder, answer):
    (folder / "0.png").rename(folder / "renamed.png")
    result = score(find_images([str(folder)]), answer, "tiny 1", cut_off)
    assert result.resumed == 2 and "renamed.png" in " ".join(read(cut_off.file)["path"])


def test_what_another_model_scored_is_not_taken_up(cut_off, folder, answer):
    assert score(find_images([str(folder)]), answer, "tiny-1", cut_off).resumed == 0


def test_a_place_named_twice_is_scored_once(folder, answer, tmp_path):
    result = score(
        find_images([str(folder), str(folder / "0.png")]), answer, "tiny 1", table_at(tmp_path / "predictions.csv")
    )
    assert result.images == 6


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_image_whose_name_is_no_text_is_a_row_with_an_error(folder, answer, tiny, tmp_path, suffix):
    for name in (b"M\xfcller/a.png", b"\xff.png"):
        file = folder / os.fsdecode(name)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(tiny.encoded(tiny.pictures(1)[0]))
    places = [str(folder), str(folder / os.fsdecode(b"\xff.png"))]
    result = score(find_images(places), answer, "tiny 1", table_at(tmp_path / f"predictions{suffix}"))
    table = read(result.table)
    odd = table[table["path"].str.contains("\\", regex=False)]
    assert (result.images, result.errors, len(table)) == (8, 3, 8)
    assert set(odd["path"]) == {f"{folder}/M\\xfcller/a.png", f"{folder}/\\xff.png"}
    assert all(f"but {path} is not: rename it" in error for path, error in zip(odd["path"], odd["error"], strict=True))


@pytest.mark.parametrize("place", ["/nowhere", "", "x" * 5000])
def test_a_missing_place_is_named_and_an_empty_one_is_not_the_working_folder(folder, monkeypatch, place):
    monkeypatch.chdir(folder)
    words = "Expected an image file, a folder, s3://bucket/prefix or dicomweb://host/path"
    with pytest.raises(DataError, match=f"{words}, but '{place}' does not exist: check it"):
        find_images([place])


def test_images_that_cannot_be_read_for_a_moment_have_nobody_elses_answer(folder, answer, tmp_path, monkeypatch):
    monkeypatch.setattr(find_images_module, "STEP", 1)
    real = find_images_module.read_bytes

    def away(path, name):
        if path.name in ("0.png", "4.png"):
            raise DataError(f"Expected a readable file, but {name} gives: stale handle; check it.")
        return real(path, name)

    monkeypatch.setattr(find_images_module, "read_bytes", away)
    result = score(find_images([str(folder)]), answer, "tiny 1", table_at(tmp_path / "predictions.parquet"))
    table = read(result.table).assign(name=lambda rows: rows["path"].str.rpartition("/")[2]).set_index("name")
    lost = table.loc[["0.png", "4.png"]]
    assert lost["probability"].isna().all() and lost["sha256"].isna().all() and result.errors == 3
    assert [f"{name} gives: stale handle" in error for name, error in lost["error"].items()] == [True, True]


def test_equal_files_have_equal_answers_and_each_is_called_by_its_own_name(folder, answer, tmp_path):
    (folder / "also.jpeg").write_text("no image")
    table = read(score(find_images([str(folder)]), answer, "tiny 1", table_at(tmp_path / "predictions.csv")).table)
    wrong = table[table["error"].notna()]
    assert len(wrong) == 2
    assert all(
        f"but {path} cannot be decoded" in error for path, error in zip(wrong["path"], wrong["error"], strict=True)
    )


@pytest.fixture
def shared(upload, folder, s3_server):
    """The images at s3://hospital/shared."""
    upload(folder, "shared")
    return find_images(["s3://hospital/shared"], data=Data(s3_endpoint=s3_server))


def test_an_object_that_is_too_large_is_a_row_and_is_not_fetched(shared, answer, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_module, "MAXIMUM_BYTES", len("no image"))
    monkeypatch.setattr(shared[0].bucket.__class__, "get", lambda bucket, key: fetched.append(key) or b"no image")
    fetched = []
    result = score(shared, answer, "tiny 1", table_at(tmp_path / "predictions.csv"))
    assert fetched == ["shared/broken.jpeg"] and result.errors == 6
    assert read(result.table)["error"].str.contains("but s3://hospital/shared/.* is larger: reduce it").sum() == 5


def test_a_step_holds_so_many_bytes_and_at_least_one_image(shared, folder, monkeypatch):
    local = find_images([str(folder)])
    sizes = {item.path.rsplit("/", 1)[1]: item.size() for item in shared}
    assert sizes == {item.path.rsplit("/", 1)[1]: item.size() for item in local} and min(sizes.values()) == 8
    monkeypatch.setattr(find_images_module, "STEP_BYTES", 2 * max(sizes.values()))
    assert {len(step) for step in steps(local)} <= {1, 2, 3} and sum(map(len, steps(local))) == 6
    assert all(sum(item.size() for item in step) <= 2 * max(sizes.values()) for step in steps(local))
    monkeypatch.setattr(find_images_module, "STEP_BYTES", 1)
    assert [len(step) for step in steps(shared)] == [1] * 6
