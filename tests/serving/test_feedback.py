"""What readers say is kept once, of images that were answered, without names; contradictions are listed."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest

from pneumo.errors import DataError
from pneumo.serving import answer_log, feedback
from pneumo.serving.answer_log import AnswerLog, keyed
from pneumo.serving.feedback import Feedback, FeedbackLog
from pneumo.serving.feedback_file import take
from pneumo.serving.followed_log import FollowedLog
from pneumo.serving.fresh_process.client import Answer

SECRET = b"secret" * 4
VERSION: Any = SimpleNamespace(name="lungs", version="3")
ILL = Answer(probability=0.9, label="PNEUMONIA", error=None, out_of_distribution=False)


def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()


def image(name):
    return keyed(digest(name), SECRET)


@pytest.fixture
def home(tmp_path):
    """A state folder in which images a to f were answered."""
    AnswerLog(tmp_path, SECRET, "http").add(VERSION, [digest(name) for name in "abcdef"], [ILL] * 6, 0.1)
    return tmp_path


def said(home, *rows):
    log = FeedbackLog(home, SECRET)
    return log.add([Feedback(image=image(name), label=label, reader=reader) for name, label, reader in rows])


def test_the_same_label_counts_once_and_unknown_images_are_not_kept(home):
    rows = [("a", "NORMAL", ""), ("a", "NORMAL", ""), ("z", "NORMAL", "")]
    assert said(home, *rows) == ["kept", "known", "unknown image"]
    assert said(home, *rows) == ["known", "known", "unknown image"]
    assert feedback.agreed(home)[0].labels.to_dict() == {image("a"): "NORMAL"}


def test_readers_who_contradict_each_other_are_listed_and_one_may_correct_himself(home):
    said(home, ("a", "NORMAL", "X"), ("a", "PNEUMONIA", "Y"), ("b", "NORMAL", "X"), ("c", "NORMAL", ""))
    said(home, ("b", "PNEUMONIA", "X"), ("c", "PNEUMONIA", ""), ("d", "NORMAL", "X"), ("d", "NORMAL", "Y"))
    found, _ = feedback.agreed(home)
    assert found.labels.to_dict() == {image("b"): "PNEUMONIA", image("d"): "NORMAL"}
    assert set(found.contradicted["image"]) == {image("a"), image("c")} and len(found.contradicted) == 4
    said(home, ("a", "PNEUMONIA", "X"))
    assert feedback.agreed(home)[0].labels[image("a")] == "PNEUMONIA"


def test_a_line_that_a_kill_cut_off_costs_itself_and_can_be_given_again(home):
    said(home, ("a", "NORMAL", ""), ("b", "NORMAL", ""))
    (file,) = (home / feedback.FOLDER).iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    found, broken = feedback.agreed(home)
    assert (found.labels.to_dict(), broken) == ({image("a"): "NORMAL"}, 1)
    assert said(home, ("a", "NORMAL", ""), ("b", "NORMAL", "")) == ["known", "kept"]


def test_a_reader_who_returns_to_an_earlier_label_is_heard_and_one_who_repeats_himself_is_not(home):
    rows = [("a", "NORMAL", "X"), ("a", "PNEUMONIA", "X"), ("a", "NORMAL", "X")]
    for again in (said(home, *rows), [outcome for row in rows for outcome in said(home, row)][1:]):
        assert "known" not in again
        assert feedback.agreed(home)[0].labels.to_dict() == {image("a"): "NORMAL"}
    assert said(home, rows[2], rows[2]) == ["known", "known"]


def test_in_a_file_equal_rows_are_counted_so_that_it_can_grow_and_be_given_again(home, tmp_path):
    file, rows = tmp_path / "read.csv", []
    for label in ("NORMAL", "PNEUMONIA", "NORMAL"):
        rows.append(f"{image('a')},{label},X")
        file.write_text("\n".join(["image,label,reader", *rows]))
        assert take(file, home, SECRET).outcomes.get("kept") == 1
        assert take(file, home, SECRET).outcomes == {"known": len(rows)}
        assert feedback.agreed(home)[0].labels.to_dict() == {image("a"): label}
    said(home, ("a", "PNEUMONIA", "X"))
    assert take(file, home, SECRET).outcomes == {"known": 3}
    assert feedback.agreed(home)[0].labels.to_dict() == {image("a"): "PNEUMONIA"}


def test_lines_that_are_no_rows_cost_themselves_only(home):
    said(home, ("a", "NORMAL", "X"))
    row = {"id": "ab" * 16, "time": "2026-01-02T03:04:05Z", "image": image("a"), "label": "NORMAL", "reader": ""}
    for folder in (answer_log.FOLDER, feedback.FOLDER):
        (file,) = (home / folder).iterdir()
        with file.open("a") as lines:
            for wrong in ({"image": "no hash"}, {"id": "no hash"}, {"time": "yesterday"}):
                lines.write(json.dumps(row | wrong) + "\n")
    assert said(home, ("a", "NORMAL", "X"), ("b", "NORMAL", "X")) == ["known", "kept"]


def test_what_a_full_disk_refused_is_new_when_it_is_said_again(home, monkeypatch):
    log, item = FeedbackLog(home, SECRET), Feedback(image=image("a"), label="NORMAL", reader="X")
    with monkeypatch.context() as disk:
        disk.setattr(log._log, "append", Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            log.add([item])
    assert log.add([item]) == ["kept"]


def test_a_log_is_followed_whether_it_is_lines_or_packed_and_only_new_rows_are_read(home):
    log = FollowedLog(home / answer_log.FOLDER, ["image"], str)
    assert image("a") in set(log.new_rows()) and list(log.new_rows()) == []
    (file,) = (home / answer_log.FOLDER).iterdir()
    with file.open("ab") as lines:
        lines.write(b'{"image": "%s"' % image("z").encode())  # a writer is in the middle of a line
    assert list(log.new_rows()) == []
    with file.open("ab") as lines:
        lines.write(b"}\n")
    assert list(log.new_rows()) == [image("z")]
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    file.rename(file.with_name(f"{day}.{file.name[11:]}"))
    answer_log.pack(home)
    assert image("a") in set(FollowedLog(home / answer_log.FOLDER, ["image"], str).new_rows())
    packed, late = home / answer_log.FOLDER / f"{day}.parquet", image("late")
    assert list(log.new_rows())
    assert list(log.new_rows()) == []
    rows = pd.read_parquet(packed)
    pd.concat([rows, rows.tail(1).assign(id="late", image=late)]).to_parquet(packed)  # as if a late line was packed
    assert late in set(log.new_rows())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_names_images_by_hash_by_digest_or_by_path(home, tmp_path, suffix):
    (tmp_path / "xray.png").write_bytes(b"d")
    images = [image("a"), digest("b"), str(tmp_path / "xray.png"), str(tmp_path / "gone.png"), image("z")]
    table = pd.DataFrame({"image": images, "label": ["NORMAL"] * 5, "reader": ["X", None, "X", "X", "X"]})
    table["time"] = ["2026-01-02T09:30:00Z", None, "2026-01-02", "2026-01-02 09:30:00+02:00", None]
    file = tmp_path / f"read{suffix}"
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    taken = take(file, home, SECRET)
    assert (taken.rows, taken.outcomes) == (5, {"kept": 3, "no such file": 1, "unknown image": 1})
    titles = suffix == ".csv"  # are row 1, as a spreadsheet shows them
    assert taken.left == {"no such file": (4 + titles,), "unknown image": (5 + titles,)}
    assert take(file, home, SECRET).outcomes["known"] == 3
    kept, _ = feedback.daily_log(home).read()
    assert set(kept["image"]) == {image(name) for name in "abd"}
    assert str(tmp_path) not in next((home / feedback.FOLDER).iterdir()).read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", r"Expected a table of feedback .*first line, but \S+ is empty: fill it in\.$"),
        ("\n\n", "is empty: fill it in"),
        ("image,label\n", "found none"),
        ("picture,label\nx,NORMAL\n", "it has picture, label"),
        ("{a},NORMAL,Dr. House\n", r"a row, which is not repeated here: put a line with image and label"),
        ("/Jane/x.PNG,NORMAL\n", "but it holds a row, which is not repeated here"),
        ("image,label\n{a},NORMAL\n{a},healthy\n,NORMAL\n", "an image in each row"),
        ("image,label\n{a},NORMAL\n{a},\n", "label of .*, but row 3 has none: correct it"),
        (
            "image,label\n{a},NORMAL\n{a},healthy\n{a},\n",
            r"but row 3 has 'healthy', the first of 2: correct it",
        ),
        ("image,label,time\n{a},NORMAL,yesterday\n", r"times such as .*, but row 2 has 'yesterday': correct it;"),
        (
            "image,label,time\n{a},NORMAL,2999-01-02\n",
            r"not in the future of .*, but row 2 has '2999-01-02'",
        ),
        ("image,Label,LABEL\n{a},NORMAL,NORMAL\n", "one column label in .*, but it has Label, LABEL: rename all but"),
        ("image,label,reader\n{a},NORMAL," + "x" * 201, "readers of at most 200"),
        (
            "image,label,reader\n{a},NORMAL,Andr\xe9\n",
            r"in UTF-8, but \S+ has other letters: .* UTF-8, or",
        ),
    ],
)
def test_a_file_of_another_form_is_refused_before_anything_of_it_is_kept(home, tmp_path, content, words):
    file = tmp_path / "read.csv"
    file.write_text(content.replace("{a}", image("a")), encoding="latin-1")
    with pytest.raises(DataError, match=words):
        take(file, home, SECRET)
    assert not (home / feedback.FOLDER).exists()


@pytest.mark.parametrize("head", ["Image,Label", " IMAGE ; label ", "\ufeffimage\tLABEL"])
def test_titles_and_labels_are_taken_in_capitals_or_small_letters_with_any_separator(home, tmp_path, head):
    separator = next(mark for mark in ";\t," if mark in head)
    file = tmp_path / "read.csv"
    rows = [f"{image('a')}{separator}normal", f"{image('b')}{separator} Pneumonia "]
    file.write_text("\n".join([head, *rows]), encoding="utf-8")
    assert take(file, home, SECRET).outcomes == {"kept": 2}
    assert feedback.agreed(home)[0].labels.to_dict() == {image("a"): "NORMAL", image("b"): "PNEUMONIA"}


@pytest.mark.parametrize("label", ["normal", "Normal", " NORMAL "])
def test_a_label_may_be_in_any_case_wherever_it_comes_from(label):
    assert Feedback(image=image("a"), label=label).label == "NORMAL"
    with pytest.raises(ValueError, match="'NORMAL' or 'PNEUMONIA'"):
        Feedback(image=image("a"), label="healthy")


def test_a_path_without_a_file_and_a_folder_are_told_as_such(home, tmp_path):
    with pytest.raises(DataError, match=r"feedback at \S+gone.csv, but there is no such file: check the path\.$"):
        take(tmp_path / "gone.csv", home, SECRET)
    with pytest.raises(DataError, match="is a folder: give the file itself"):
        take(tmp_path, home, SECRET)


@pytest.mark.parametrize("name", ["read.xlsx", "read.XLS", "read.ods"])
def test_a_spreadsheet_is_told_to_be_saved_as_csv(home, tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04\x14\x00\x06\x00\x08")
    with pytest.raises(DataError, match=r"Expected a table of feedback in CSV .* is a spreadsheet: save it as CSV"):
        take(tmp_path / name, home, SECRET)


def test_a_time_in_the_future_is_refused_since_it_would_outlast_every_correction():
    soon = datetime.now(UTC) + timedelta(hours=12)  # a time without a zone, from the other side of the Earth
    assert Feedback(image=image("a"), label="NORMAL", time=soon).time == soon
    with pytest.raises(ValueError, match="in the future"):
        Feedback(image=image("a"), label="NORMAL", time=soon + timedelta(days=1))
