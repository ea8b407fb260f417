"""Scoring many images: found, scored in chunks, a row per image; cut off, it goes on."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.errors import DataError
from pneumo.serving.paths import Found, fetch, find_images
from pneumo.serving.registered import needs_embeddings
from pneumo.stages import IMAGE, LABELS, Record
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.scoring import Answer, Cell, served

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Predict = Callable[[Sequence[Cell]], Sequence[Answer]]
OnProgress = Callable[[int, int], None]
CHUNK = 256  # images a step: what a cut costs at most, and what is in memory
COLUMNS = ("path", "probability", "label", "error", "unlike")


class Scored(Record):
    """What a batch scoring did.

    Of `images`, `errors` could not be read, `positive` were called PNEUMONIA, `unlike` are unlike the training data,
    and `resumed` had been scored before it was cut off.
    """

    out: Path
    images: int
    errors: int
    positive: int
    unlike: int
    resumed: int


def predict(
    tracker: Tracker,
    version: ModelVersion,
    paths: Sequence[str],
    out: Path,
    threshold: float | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Scored:
    """Score images with a registered version, in a process that runs the code kept with it.

    Args:
        tracker: of the server that has it.
        version: such as the champion.
        paths: files, folders (searched below), s3://bucket/prefix.
        out: .csv or .parquet.
        threshold: of the label, 0..1; the version's own by default.
        endpoint: of an S3 server other than AWS.
        on_progress: called with images done and in total.

    Raises:
        DataError: nothing to score, or an output of another kind; an unreadable image is a row with its error.
        ModelError: the version takes embeddings and no images.
        TrackingError: the version cannot be loaded, or is not known to be what was registered.
    """
    require_writable(out)
    found = find_images(paths, endpoint)
    on_progress(0, len(found))
    with served(tracker, version.uri) as model:
        if model.input != IMAGE:
            raise needs_embeddings(version)
        name = f"{version.name} {version.version}" + ("" if threshold is None else f" at {threshold}")
        return score(found, partial(model.score, threshold=threshold), name, out, on_progress)


def require_writable(out: Path) -> None:
    """Say that a table of this kind cannot be written before hours of scoring.

    Raises:
        DataError: naming the kinds that can.
    """
    if out.suffix not in WRITERS:
        raise DataError(f"Expected an output file ending in {' or '.join(WRITERS)}, got {out}: rename it.")
    out.parent.mkdir(parents=True, exist_ok=True)


def score(
    found: Sequence[Found],
    answer: Predict,
    model: str,
    out: Path,
    on_progress: OnProgress = lambda done, total: None,
) -> Scored:
    """Score images and write a table, a row each (see `COLUMNS`); cut off and called again, it goes on.

    Args:
        found: what `find_images` found.
        answer: gives answers for image files or their bytes, such as `Served.score`.
        model: name, version and threshold; what was scored with another is not taken up.
        out: written whole at the end, until then `<out>.<model>.partial` grows.
        on_progress: called with images done and in total.
    """
    kept = out.with_name(f"{out.name}.{_plain(model)}.partial")
    done = {row["path"]: row for row in _whole_lines(kept)}
    missing = [item for item in found if item.path not in done]
    resumed = len(found) - len(missing)
    on_progress(resumed, len(found))
    for start in range(0, len(missing), CHUNK):
        rows = _score_chunk(missing[start : start + CHUNK], answer)
        _append(kept, rows)
        done |= {row["path"]: row for row in rows}
        on_progress(resumed + start + len(rows), len(found))
    table = [done[item.path] for item in found]
    _finish(table, out)
    kept.unlink(missing_ok=True)
    return Scored(
        out=out,
        images=len(table),
        errors=sum(row["error"] is not None for row in table),
        positive=sum(row["label"] == LABELS[1] for row in table),
        unlike=sum(row["unlike"] for row in table),
        resumed=resumed,
    )


def _score_chunk(chunk: Sequence[Found], answer: Predict) -> list[Row]:
    answers = zip(chunk, answer(fetch(chunk)), strict=True)
    return [{"path": item.path, **found.model_dump()} for item, found in answers]


def _append(kept: Path, rows: list[Row]) -> None:
    with kept.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(kept: Path) -> Iterator[Row]:
    """Rows of a scoring that was cut off; a line that was being written then is dropped from the file."""
    if not kept.is_file():
        return
    whole = kept.read_bytes().rpartition(b"\n")[0]
    kept.write_bytes(whole + b"\n" if whole else b"")
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
