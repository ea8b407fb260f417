"""Scoring many images: decoded side by side, run in batches, a row per image."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.errors import DataError
from pneumo.serving.bundle import Bundle
from pneumo.serving.inputs import read_images
from pneumo.serving.paths import Found, fetch, find_images
from pneumo.stages import Record

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Predict = Callable[["pd.DataFrame"], "pd.DataFrame"]
OnProgress = Callable[[int, int], None]
CHUNK = 256  # images decoded at a time, so that memory does not grow with the table
COLUMNS = ("path", "probability", "label", "error")


class Scored(Record):
    """What a batch scoring did; `resumed` images had been scored before it was cut off."""

    out: Path
    images: int
    errors: int
    resumed: int


def score(
    paths: Sequence[str],
    predict: Predict,
    model: str,
    out: Path,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Scored:
    """Score images and write a table path, probability, label, error; cut off and called again, it goes on.

    Args:
        paths: files, folders, s3:// addresses.
        predict: a data frame with a column image to one with the other columns, such as a loaded pyfunc's.
        model: name and version of the model; what another model has scored is not taken up.
        out: .csv or .parquet; written whole at the end, until then `<out>.<model>.partial` grows.
        endpoint: of an S3 server other than AWS.
        on_progress: called with images done and in total.

    Raises:
        DataError: nothing to score, or an output of another kind; an unreadable image is a row with its error.
    """
    if out.suffix not in WRITERS:
        raise DataError(f"Expected an output file ending in {' or '.join(WRITERS)}, got {out}: rename it.")
    found = find_images(paths, endpoint)
    partial = out.with_name(f"{out.name}.{_plain(model)}.partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    done = {row["path"]: row for row in _whole_lines(partial)}
    missing = [item for item in found if item.path not in done]
    resumed = len(found) - len(missing)
    on_progress(resumed, len(found))
    for start in range(0, len(missing), CHUNK):
        rows = _score_chunk(missing[start : start + CHUNK], predict)
        _append(partial, rows)
        done |= {row["path"]: row for row in rows}
        on_progress(resumed + start + len(rows), len(found))
    table = [done[item.path] for item in found]
    _finish(table, out)
    partial.unlink(missing_ok=True)
    return Scored(out=out, images=len(table), errors=sum(row["error"] is not None for row in table), resumed=resumed)


def score_frame(bundle: Bundle, frame: "pd.DataFrame", threshold: float | None = None) -> "pd.DataFrame":
    """Score a data frame with a column image: columns probability, label, error, unlike."""
    return score_cells(bundle, frame["image"].tolist(), threshold)


def score_cells(bundle: Bundle, cells: Sequence[Any], threshold: float | None = None) -> "pd.DataFrame":
    """Columns probability (NaN where unreadable), label, error (None or a sentence), unlike; a row per cell."""
    import numpy as np
    import pandas as pd

    probability = np.full(len(cells), np.nan)
    label = np.full(len(cells), None, dtype=object)
    unlike = np.zeros(len(cells), dtype=bool)
    errors: list[str | None] = []
    for start in range(0, len(cells), CHUNK):
        decoded = read_images(cells[start : start + CHUNK], bundle.spec.size, bundle.spec.fit, first=start)
        errors += decoded.errors
        if len(decoded.rows):
            scores, rows = bundle.score(decoded.images), decoded.rows + start
            probability[rows], unlike[rows] = scores.probability, scores.unlike
            label[rows] = bundle.label(scores.probability, threshold)
    # An explicit object type keeps None; pandas would make it NaN, which is not JSON.
    texts = {"label": pd.Series(label, dtype=object), "error": pd.Series(errors, dtype=object)}
    return pd.DataFrame({"probability": probability, **texts, "unlike": unlike})


def _score_chunk(chunk: Sequence[Found], predict: Predict) -> list[Row]:
    import pandas as pd

    scored = predict(pd.DataFrame({"image": pd.Series(fetch(chunk), dtype=object)}))
    names = [item.path for item in chunk]
    rows = zip(names, scored["probability"], scored["label"], scored["error"], strict=True)
    return [
        {"path": path, "probability": float(probability), "label": label, "error": None}
        if pd.isna(error)
        else {"path": path, "probability": None, "label": None, "error": str(error)}
        for path, probability, label, error in rows
    ]


def _append(partial: Path, rows: list[Row]) -> None:
    with partial.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(partial: Path) -> Iterator[Row]:
    """Rows of a scoring that was cut off; a line that was being written then is dropped from the file."""
    if not partial.is_file():
        return
    whole = partial.read_bytes().rpartition(b"\n")[0]
    partial.write_bytes(whole + b"\n" if whole else b"")
    yield from (json.loads(line) for line in whole.splitlines())


def _finish(rows: list[Row], out: Path) -> None:
    import pandas as pd

    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    WRITERS[out.suffix](pd.DataFrame(rows, columns=list(COLUMNS)).astype({"probability": float}), scratch)
    os.replace(scratch, out)


WRITERS: dict[str, Callable[["pd.DataFrame", Path], None]] = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
}


def _plain(model: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in model)
