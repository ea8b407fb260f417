"""Answers are kept without identities, survive a kill, and each counts once."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pneumo.errors import DataError
from pneumo.monitoring.answers_by_day import by_day
from pneumo.serving import answer_log
from pneumo.serving.answer_log import AnswerLog
from pneumo.serving.fresh_process.client import Answer

VERSION: Any = SimpleNamespace(name="lungs", version="3")
ILL = Answer(probability=0.9, label="PNEUMONIA", error=None, out_of_distribution=False)
STRANGE = Answer(probability=0.2, label="NORMAL", error=None, out_of_distribution=True)
BROKEN = Answer(probability=None, label=None, error="Patient Jane Doe is broken", out_of_distribution=False)


@pytest.fixture
def log(tmp_path):
    return AnswerLog(tmp_path, b"secret" * 4, "http")


def yesterday(home, file):
    """Make what was written today something of the day before yesterday."""
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    (home / answer_log.FOLDER / file).rename(home / answer_log.FOLDER / f"{day}.{file[11:]}")
    return day


def test_answers_are_read_back_with_their_version_and_no_identity(log, tmp_path):
    log.add(VERSION, ["a" * 64, "b" * 64], [ILL, BROKEN], 0.25)
    log.add(VERSION, ["a" * 64], [STRANGE], 0.5)
    table, broken = answer_log.read(tmp_path)
    assert broken == 0 and list(table.columns) == list(answer_log.COLUMNS)
    assert table["probability"].tolist()[::2] == [0.9, 0.2] and pd.isna(table["label"][1])
    assert table["image"].nunique() == 2 and table["image"][0] == table["image"][2]
    (file,) = (tmp_path / answer_log.FOLDER).iterdir()
    assert "Jane" not in file.read_text() and "a" * 64 not in file.read_text()


def test_a_line_that_a_kill_cut_off_costs_itself_only(log, tmp_path):
    log.add(VERSION, ["a" * 64], [ILL], 0.1)
    (file,) = (tmp_path / answer_log.FOLDER).iterdir()
    file.write_text(file.read_text() + file.read_text()[:40])
    table, broken = answer_log.read(tmp_path)
    assert (len(table), broken) == (1, 1)


def test_a_day_that_is_over_becomes_parquet_and_a_kill_in_between_doubles_nothing(log, tmp_path):
    log.add(VERSION, ["a" * 64, "b" * 64], [ILL, STRANGE], 0.1)
    folder = tmp_path / answer_log.FOLDER
    (file,) = folder.iterdir()
    day, content = yesterday(tmp_path, file.name), file.parent
    left = next(content.iterdir()).read_bytes()
    answer_log.pack(tmp_path)
    assert [path.name for path in folder.iterdir()] == [f"{day}.parquet"]
    (folder / f"{day}.{file.name[11:]}").write_bytes(left)  # as if it was killed before it removed them
    assert len(answer_log.read(tmp_path)[0]) == 2
    answer_log.pack(tmp_path)
    assert len(answer_log.read(tmp_path)[0]) == 2 and len(list(folder.iterdir())) == 1


def test_the_day_of_now_is_not_packed(log, tmp_path):
    log.add(VERSION, ["a" * 64], [ILL], 0.1)
    answer_log.pack(tmp_path)
    assert [path.suffix for path in (tmp_path / answer_log.FOLDER).iterdir()] == [".jsonl"]


def test_days_are_summed_up_by_version(log, tmp_path):
    log.add(VERSION, ["a" * 64] * 4, [ILL, ILL, STRANGE, BROKEN], 0.3)
    (row,) = by_day(answer_log.read(tmp_path)[0])
    assert (row.version, row.images, row.unreadable, row.seconds) == ("3", 4, 0.25, 0.3)
    assert (
        row.source == "http"
        and row.positive == pytest.approx(2 / 3)
        and row.out_of_distribution == pytest.approx(1 / 3)
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2026-13-45.x.jsonl", "{}"),
        ("2026-0a-01.parquet", ""),
        ("{today}.mine.jsonl", '{"id": 1}\n[]\nnull\n'),
        ("{today}.mine.jsonl", "\xff\n" * 3),
    ],
)
def test_what_somebody_put_there_costs_itself_only(log, tmp_path, name, content):
    log.add(VERSION, ["a" * 64], [ILL], 0.1)
    place = tmp_path / answer_log.FOLDER / name.format(today=datetime.now(UTC).date())
    place.write_text(content, encoding="latin-1")
    answer_log.pack(tmp_path)
    table, broken = answer_log.read(tmp_path)
    assert (len(table), broken) == (1, 3 if "mine" in name else 0) and place.exists()


def test_a_line_with_values_of_another_kind_is_counted_as_broken(log, tmp_path):
    log.add(VERSION, ["a" * 64, "b" * 64], [ILL, ILL], 0.1)
    (file,) = (tmp_path / answer_log.FOLDER).iterdir()
    file.write_text(file.read_text().replace('"probability":0.9', '"probability":"high"', 1))
    table, broken = answer_log.read(tmp_path)
    assert (len(table), broken) == (1, 1)


def test_a_table_that_cannot_be_read_is_named(log, tmp_path):
    folder = tmp_path / answer_log.FOLDER
    folder.mkdir()
    (folder / f"{datetime.now(UTC).date()}.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"parquet, but it cannot be read"):
        answer_log.read(tmp_path)


def test_after_a_full_disk_the_next_line_is_whole(log, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    log.add(VERSION, ["a" * 64], [ILL], 0.1)
    (file,) = (tmp_path / answer_log.FOLDER).iterdir()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(type(file), "open", full)
        log.add(VERSION, ["b" * 64], [ILL], 0.1)
    file.write_text(file.read_text() + '{"id": "cut')
    log.add(VERSION, ["c" * 64], [STRANGE], 0.1)
    table, broken = answer_log.read(tmp_path)
    assert (len(table), broken) == (2, 1)


def test_an_answer_that_a_batch_logs_again_counts_once_and_as_it_was_said_last(tmp_path, monkeypatch):
    log, seen = AnswerLog(tmp_path, b"secret" * 4, "batch"), ["a" * 64, "b" * 64]
    log.add(VERSION, seen, [ILL, BROKEN], 1, batch="monday")
    log.add(VERSION, seen, [ILL, STRANGE], 1, batch="monday")
    log.add(VERSION, seen[:1], [ILL], 1, batch="tuesday")
    table, _ = answer_log.read(tmp_path)
    assert sorted(table["label"]) == ["NORMAL", "PNEUMONIA", "PNEUMONIA"]


def test_a_long_day_is_read_in_parts(log, tmp_path, monkeypatch):
    monkeypatch.setattr("pneumo.serving.daily_log.CHUNK", 2)
    log.add(VERSION, ["a" * 64] * 5, [ILL] * 5, 0.1)
    assert len(answer_log.read(tmp_path)[0]) == 5


def test_where_nothing_was_answered_there_is_nothing(tmp_path):
    table, broken = answer_log.read(tmp_path)
    assert by_day(table) == [] and broken == 0
