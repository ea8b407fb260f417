"""Score many images in steps, a row for each; a scoring that was cut off continues."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from pneumo.data.files import tells_disk_errors
from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.records.base import IMAGE, LABELS, Cell, Record
from pneumo.serving.answer_log import BATCH, AnswerLog
from pneumo.serving.batch import partial as partial_file
from pneumo.serving.batch.find_images import Content, Found, fetch, find_images, steps
from pneumo.serving.batch.output import Output, open_output, owned
from pneumo.serving.batch.table import COLUMNS, columns_of, to_table
from pneumo.serving.fresh_process.client import Answer, cannot_tell, needs_embeddings, served
from pneumo.settings.data import Data
from pneumo.tracking import ModelVersion, Tracker

Row = dict[str, Any]
Predict = Callable[[Sequence[Cell]], Sequence[Answer]]
OnProgress = Callable[[int, int], None]
Keep = Callable[[str, Mapping[str, Answer], float], None]


class Scored(Record):
    """Result of a batch scoring.

    The table is at `out`, and on this machine at `table`. Of `images`, `errors` could not be read, `positive` were
    called PNEUMONIA, `out_of_distribution` are out-of-distribution, and `resumed` were scored before it was cut off.
    `note` is a sentence on what the version could not tell.
    """

    out: str
    table: Path
    images: int
    errors: int
    positive: int
    out_of_distribution: int
    resumed: int
    note: str = ""


def predict(  # noqa: PLR0913 - all that a user may set
    tracker: Tracker,
    version: ModelVersion,
    paths: Sequence[str],
    out: str,
    home: Path,
    data: Data,
    threshold: float | None = None,
    on_progress: OnProgress = lambda done, total: None,
    uncertain: bool = False,
) -> Scored:
    """Score images with a registered version, in a process that runs the version's own code; its answers are logged.

    Args:
        tracker: that of the server with the version.
        version: a registered version, such as the champion.
        paths: files, folders (searched below), s3://bucket/prefix, dicomweb://host/path?query.
        out: path or s3://bucket/key, .csv or .parquet.
        home: state folder.
        data: the S3 server, and what is asked of an archive.
        threshold: of the label, 0 to 1; by default the version's own.
        on_progress: called with the number of images done and of all.
        uncertain: add a column that says whether another label is possible; empty for a version that cannot tell.

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
            name = f"{version.uri} {model.digest} {threshold}{' uncertain' if uncertain else ''}"
            answer = partial(model.score, threshold=threshold, uncertain=uncertain)
            keep = _keeper(home, version)
            done = score(found, answer, name, place, on_progress, keep, columns_of(uncertain))
            lacks = uncertain and not model.tells_uncertain
            return done.model_copy(update={"note": cannot_tell(version)}) if lacks else done


def score(
    found: Sequence[Found],
    answer: Predict,
    model: str,
    out: Output,
    on_progress: OnProgress = lambda done, total: None,
    keep: Keep = lambda batch, answers, seconds: None,
    columns: Sequence[str] = COLUMNS,
) -> Scored:
    """Score images and write a table with a row for each (see `table.COLUMNS`); after a cut a second call continues.

    Images are known by their content, so a file that was replaced meanwhile is scored again.

    Args:
        found: the images, from `find_images`.
        answer: gives answers for image files or their bytes, such as `Served.score`.
        model: what the answers depend on: version, its files, threshold; rows of another one are not reused.
        out: written whole at the end; until then `<out>.<model>.partial` grows.
        on_progress: called with the number of images done and of all.
        keep: logs new answers, by sha256, and the seconds of their step; called before they count as done, so after a
            cut it may be called again with the same, under the same name of the whole scoring.
        columns: of the table.
    """
    kept = out.file.with_name(f"{out.file.name}.{sha256(model.encode()).hexdigest()[:12]}.partial")
    name, before = partial_file.begun(kept)
    done, table, resumed = dict(before), [], 0
    for step in steps(found):
        begun = time.monotonic()
        rows = _score_step(step, answer, done)
        said = {key: Answer(**row) for key, row in rows if key and key not in done}
        keep(name, said, time.monotonic() - begun)
        # An image that could not be read is tried again.
        fresh = {key: row for key, row in rows if key not in done and not row["error"]}
        partial_file.append(kept, fresh)
        done |= fresh
        named = zip(step, rows, strict=True)
        table += [{"path": item.path, "sha256": key or None, **row} for item, (key, row) in named]
        resumed += sum(key in before for key, _ in rows)
        on_progress(len(table), len(found))
    out.write(to_table(table, columns))
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
    return said.named(number, path).model_dump()


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


def _keeper(home: Path, version: ModelVersion) -> Keep:
    """Who logs the answers; where the disk refuses, the scoring stops, and continues once there is space."""
    log = AnswerLog(home, patient_secret(home), BATCH)

    @tells_disk_errors
    def keep(batch: str, answers: Mapping[str, Answer], seconds: float) -> None:
        if answers:
            log.add(version, list(answers), list(answers.values()), seconds, batch)

    return keep
