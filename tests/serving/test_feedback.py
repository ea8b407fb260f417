"""What readers say is kept once, of images that were answered, without names; contradictions are listed."""

import hashlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pneumo.errors import DataError
from pneumo.serving import answer_log, feedback
from pneumo.serving.answer_log import AnswerLog, keyed
from pneumo.serving.feedback import Feedback, FeedbackLog
from pneumo.serving.feedback_file import take
from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.seen import Seen

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


def test_answers_are_known_whether_they_are_lines_or_packed_and_only_new_ones_are_read(home):
    seen = Seen(home / answer_log.FOLDER, "image")
    assert image("a") in seen.update() and image("z") not in seen
    (file,) = (home / answer_log.FOLDER).iterdir()
    with file.open("ab") as lines:
        lines.write(b'{"image": "%s"' % image("z").encode())  # a writer is in the middle of a line
    assert image("z") not in seen.update()
    with file.open("ab") as lines:
        lines.write(b"}\n")
    assert image("z") in seen.update()
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    file.rename(file.with_name(f"{day}.{file.name[11:]}"))
    answer_log.pack(home)
    assert image("a") in Seen(home / answer_log.FOLDER, "image").update()
    packed, late = home / answer_log.FOLDER / f"{day}.parquet", image("late")
    seen.update()
    rows = pd.read_parquet(packed)
    pd.concat([rows, rows.tail(1).assign(id="late", image=late)]).to_parquet(
        packed
    )  # as if a late line was packed, too
    assert late in seen.update()


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
    assert taken.left == {"no such file": (4,), "unknown image": (5,)}
    assert take(file, home, SECRET).outcomes["known"] == 3
    kept, _ = feedback.daily_log(home).read()
    assert set(kept["image"]) == {image(name) for name in "abd"}
    assert str(tmp_path) not in next((home / feedback.FOLDER).iterdir()).read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read"),
        ("image,label\n", "found none"),
        ("picture,label\nx,NORMAL\n", "it has picture, label"),
        ("image,label\n{a},NORMAL\n{a},healthy\n,NORMAL\n", "an image in each row"),
        ("image,label\n{a},NORMAL\n{a},healthy\n{a},\n", r"label of .*, but 2 rows .*first row 2 \('healthy'\)"),
        ("image,label,time\n{a},NORMAL,yesterday\n", r"times such as .*first row 1 \('yesterday'\)"),
        ("image,label,reader\n{a},NORMAL," + "x" * 201, "readers of at most 200"),
        ("image,label\n\x00\xff,PNEUMONIA", "cannot be read|NORMAL or PNEUMONIA"),
    ],
)
def test_a_file_of_another_form_is_refused_before_anything_of_it_is_kept(home, tmp_path, content, words):
    file = tmp_path / "read.csv"
    file.write_text(content.replace("{a}", image("a")), encoding="latin-1")
    with pytest.raises(DataError, match=words):
        take(file, home, SECRET)
    assert not (home / feedback.FOLDER).exists()
