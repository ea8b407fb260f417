"""Score many images in steps, a row for each; a scoring that was cut off continues."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.records.base import IMAGE, LABELS, Cell, Record
from pneumo.sections import Data
from pneumo.serving.batch.find_images import DEFAULTS, Content, Found, fetch, find_images, steps
from pneumo.serving.batch.output import Output, open_output, owned
from pneumo.serving.fresh_process.client import Answer, needs_embeddings, served
from pneumo.tracking import ModelVersion, Tracker

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Predict = Callable[[Sequence[Cell]], Sequence[Answer]]
OnProgress = Callable[[int, int], None]
COLUMNS = ("path", "sha256", "probability", "label", "error", "out_of_distribution")


class Scored(Record):
    """Result of a batch scoring.

    The table is at `out`, and on this machine at `table`. Of `images`, `errors` could not be read, `positive` were
    called PNEUMONIA, `out_of_distribution` are out-of-distribution, and `resumed` were scored before it was cut off.
    """

    out: str
    table: Path
    images: int
    errors: int
    positive: int
    out_of_distribution: int
    resumed: int


def predict(
    tracker: Tracker,
    version: ModelVersion,
    paths: Sequence[str],
    out: str,
    home: Path,
    threshold: float | None = None,
    data: Data = DEFAULTS,
    on_progress: OnProgress = lambda done, total: None,
) -> Scored:
    """Score images with a registered version, in a process that runs the version's own code.

    Args:
        tracker: that of the server with the version.
        version: a registered version, such as the champion.
        paths: files, folders (searched below), s3://bucket/prefix, dicomweb://host/path?query.
        out: path or s3://bucket/key, .csv or .parquet.
        home: state folder.
        threshold: of the label, 0 to 1; by default the version's own.
        data: the S3 server, and what is asked of an archive.
        on_progress: called with the number of images done and of all.

    Raises:
        DataError: nothing to score, or an output of another kind or that another run writes; an unreadable image is a
            row with its error.
        ModelError: the version takes embeddings and no images.
        TrackingError: the version cannot be loaded, or its files are not known to be those that were registered.
    """
    place = open_output(out, home, data.s3_endpoint)
    with owned(place):
        found = find_images(paths, data, home)
        on_progress(0, len(found))
        with served(tracker, version.uri) as model:
            if model.input != IMAGE:
                raise needs_embeddings(version)
            name = f"{version.uri} {model.digest} {threshold}"
            return score(found, partial(model.score, threshold=threshold), name, place, on_progress)


def score(
    found: Sequence[Found],
    answer: Predict,
    model: str,
    out: Output,
    on_progress: OnProgress = lambda done, total: None,
) -> Scored:
    """Score images and write a table with a row for each (see `COLUMNS`); after a cut a second call continues.

    Images are known by their content, so a file that was replaced meanwhile is scored again.

    Args:
        found: the images, from `find_images`.
        answer: gives answers for image files or their bytes, such as `Served.score`.
        model: what the answers depend on: version, its files, threshold; rows of another one are not reused.
        out: written whole at the end; until then `<out>.<model>.partial` grows.
        on_progress: called with the number of images done and of all.
    """
    kept = out.file.with_name(f"{out.file.name}.{sha256(model.encode()).hexdigest()[:12]}.partial")
    before = {row["sha256"]: Answer.model_validate(row["answer"]).model_dump() for row in _whole_lines(kept)}
    done, table, resumed = dict(before), [], 0
    for step in steps(found):
        rows = _score_step(step, answer, done)
        # An image that could not be read is tried again.
        fresh = {key: row for key, row in rows if key not in done and not row["error"]}
        _append(kept, fresh)
        done |= fresh
        named = zip(step, rows, strict=True)
        table += [{"path": item.path, "sha256": key or None, **row} for item, (key, row) in named]
        resumed += sum(key in before for key, _ in rows)
        on_progress(len(table), len(found))
    out.write(_frame(table))
    kept.unlink(missing_ok=True)
    return _scored(table, out, resumed)


def _score_step(step: Sequence[Found], answer: Predict, done: Mapping[str, Row]) -> list[tuple[str, Row]]:
    """Hash (empty if not read) and answer of each image; a hash that is done is not scored again."""
    contents = fetch(step)
    new = [content.data for content in contents if not content.error and content.sha256 not in done]
    answers = enumerate(answer(new) if new else ())
    named = zip(step, contents, strict=True)
    return [(content.sha256, _answer(item.path, content, done, answers)) for item, content in named]


def _answer(path: str, content: Content, done: Mapping[str, Row], answers: Iterator[tuple[int, Answer]]) -> Row:
    if content.error:
        return Answer(probability=None, label=None, error=content.error, out_of_distribution=False).model_dump()
    if content.sha256 in done:
        return done[content.sha256]
    number, said = next(answers)
    return said.model_dump() | {"error": said.error and said.error.replace(f"row {number}", path)}


def _frame(rows: list[Row]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"probability": float})


def _scored(table: list[Row], out: Output, resumed: int) -> Scored:
    return Scored(
        out=out.address,
        table=out.file,
        images=len(table),
        errors=sum(row["error"] is not None for row in table),
        positive=sum(row["label"] == LABELS[1] for row in table),
        out_of_distribution=sum(row["out_of_distribution"] for row in table),
        resumed=resumed,
    )


def _append(kept: Path, answers: Mapping[str, Row]) -> None:
    with kept.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps({"sha256": key, "answer": row}) + "\n" for key, row in answers.items()))
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(kept: Path) -> Iterator[Row]:
    """Rows of a scoring that was cut off; a last line that is not complete is removed from the file."""
    if not kept.is_file():
        return
    whole = kept.read_bytes().rpartition(b"\n")[0]
    kept.write_bytes(whole + b"\n" if whole else b"")
    yield from (json.loads(line) for line in whole.splitlines())
