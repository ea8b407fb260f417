"""Feedback in a file: CSV or Parquet with the columns image and label, and perhaps reader and time."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pneumo.data.files import sha256_of, tells_disk_errors
from pneumo.errors import DataError
from pneumo.records.base import LABELS, Record
from pneumo.serving.answer_log import keyed
from pneumo.serving.feedback import Feedback, FeedbackLog, latest

if TYPE_CHECKING:
    import pandas as pd

REQUIRED, OPTIONAL = ("image", "label"), ("reader", "time")
STEP = 10_000  # rows that are kept at once: a kill loses no more, and the same file can be given again
SHOWN = 10  # rows that are named of each kind
LONGEST_READER = 200  # characters
NO_FILE = "no such file"
REPEAT = "repeat"


class Taken(Record):
    """What became of a file's rows: how many by outcome, and the first that were not kept, by outcome.

    Rows are counted as a spreadsheet does: the titles of a CSV file are row 1.
    """

    rows: int
    outcomes: dict[str, int]
    left: dict[str, tuple[int, ...]]


@tells_disk_errors
def take(file: Path, home: Path, secret: bytes) -> Taken:
    """Keep the feedback of a file; one of which a part was kept before goes on.

    An image is given by the hash that its answer gave back, by its sha256, or by the path of its file.

    Args:
        file: the table.
        home: state folder, with the answers.
        secret: key of the images' hashes.

    Raises:
        DataError: it is no such table, is empty, or has other labels or times; then nothing of it is kept.
    """
    from pneumo.data.tables.text_table import first_row

    table, log, first = _read(file), FeedbackLog(home, secret), first_row(file)
    counts: Counter[str] = Counter()
    left: dict[str, list[int]] = {}
    for start in range(0, len(table), STEP):
        rows = table.iloc[start : start + STEP]
        for number, outcome in zip(rows.index, _keep(rows, log, secret), strict=True):
            counts[outcome] += 1
            if outcome not in ("kept", "known") and len(left.setdefault(outcome, [])) < SHOWN:
                left[outcome].append(int(number) + first)
    return Taken(rows=len(table), outcomes=dict(counts), left={name: tuple(rows) for name, rows in left.items()})


def _keep(rows: "pd.DataFrame", log: FeedbackLog, secret: bytes) -> Iterator[str]:
    """The outcome of each row."""
    images = [_image(image, secret) for image in rows["image"]]
    named = zip(images, rows["label"], rows["reader"], rows["time"], strict=True)
    given = [
        Feedback(image=image, label=label, reader=reader, time=time) for image, label, reader, time in named if image
    ]
    outcomes = iter(log.add(given, [repeat for image, repeat in zip(images, rows[REPEAT], strict=True) if image]))
    yield from (next(outcomes) if image else NO_FILE for image in images)


def _image(said: str, secret: bytes) -> str | None:
    """The keyed hash of an image; None for a path at which there is no file that can be read."""
    if re.fullmatch("[0-9a-f]{32}", said):
        return said
    if re.fullmatch("[0-9a-f]{64}", said):
        return keyed(said, secret)
    try:
        return keyed(sha256_of(Path(said)), secret) if Path(said).is_file() else None  # a device has no end
    except (OSError, ValueError):  # a path with a null byte is a ValueError
        return None


def _read(file: Path) -> "pd.DataFrame":
    """The columns image, label, reader ("" where none is given) and time (None), as they are in `Feedback`.

    And how many equal rows are before each: a reader who says NORMAL, then PNEUMONIA, then NORMAL, says it anew.
    """
    import pandas as pd

    from pneumo.data.tables.text_table import read_texts

    table = read_texts(file, lambda there: _titles(there, file), "table of feedback").reset_index(drop=True)
    if table.empty:
        raise DataError(f"Expected rows of feedback in {file}, found none: give a file with some.")
    texts: pd.DataFrame = table.apply(
        lambda column: column.astype("object").where(column.notna(), "").map(str).str.strip()
    )
    texts = texts.reindex(columns=[*REQUIRED, *OPTIONAL], fill_value="")
    times = pd.to_datetime(texts["time"].where(texts["time"] != "", None), utc=True, format="ISO8601", errors="coerce")
    labels = texts["label"].str.upper()
    _refuse(texts["image"] == "", file, "an image in each row", texts["image"])
    _refuse(~labels.isin(LABELS), file, f"{' or '.join(LABELS)} in the column label", texts["label"])
    _refuse((texts["time"] != "") & times.isna(), file, "times such as 2026-11-27T09:30:00Z", texts["time"])
    _refuse(times > latest(), file, "times that are not in the future", texts["time"])
    _refuse(texts["reader"].str.len() > LONGEST_READER, file, f"readers of at most {LONGEST_READER} characters", None)
    rows = texts.assign(label=labels, time=times.astype("object").where(times.notna(), None))
    return rows.assign(**{REPEAT: rows.groupby([*REQUIRED, *OPTIONAL], dropna=False).cumcount()})


def _titles(there: Sequence[str], file: Path) -> dict[str, str]:
    """Titles of the columns in the file, by their names."""
    from pneumo.data.tables.text_table import require_titles, title_like

    found = {name: title_like(name, there, file) for name in (*REQUIRED, *OPTIONAL)}
    if not all(found[name] for name in REQUIRED):
        require_titles(file, there, "image and label")
        shown = ", ".join(map(str, there))[:200]
        raise DataError(f"Expected the columns image and label in {file}, but it has {shown}: rename them.")
    return {name: title for name, title in found.items() if title}


def _refuse(wrong: "pd.Series[bool]", file: Path, expected: str, said: "pd.Series[str] | None") -> None:
    """Raise DataError for the first wrong row; `said`: what is shown of it, None where that would name somebody."""
    from pneumo.data.tables.text_table import first_row

    if wrong.any():
        number, rows = int(wrong.to_numpy().argmax()), int(wrong.sum())
        place = f"row {number + first_row(file)}"
        shown = "a longer one" if said is None else repr(said[number][:50]) if said[number] else "none"
        raise DataError(
            f"Expected {expected} of {file}, but {place} has {shown}{f', the first of {rows}' * (rows > 1)}: "
            "correct it; nothing of the file is kept."
        )
