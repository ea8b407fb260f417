"""Send the results of a batch back to the archive that the images came from, each once."""

import io
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumo.data.dicom import without_values
from pneumo.data.dicomweb.address import is_dicomweb, parse
from pneumo.data.dicomweb.archive import Archive
from pneumo.data.dicomweb.instance import Instance, located
from pneumo.data.sources.dicomweb import fetch, folder_of
from pneumo.data.store.decode import decode
from pneumo.errors import ArchiveError, DataError
from pneumo.records.base import Record
from pneumo.serving.batch.table import read_table
from pneumo.serving.bundle.image_bundle import Bundle
from pneumo.serving.bundle.registered import load_registered
from pneumo.serving.overlay import overlay
from pneumo.serving.results.heat_map_capture import write_capture
from pneumo.serving.results.result import Place, Result, place_of, require_highdicom, study_of
from pneumo.serving.results.structured_report import write_report
from pneumo.settings.data import Data
from pneumo.tracking import ModelVersion, Tracker

if TYPE_CHECKING:
    from pydicom import Dataset

REPORT, CAPTURE = "report", "heat map"
SHOWN = 640  # pixels a side
OnProgress = Callable[[int, int], None]


class Sent(Record):
    """Of `images`, `sent` had their results stored now, `before` in an earlier run."""

    images: int
    sent: int
    before: int


def require_archive(paths: Sequence[str]) -> None:
    """Check, before anything is scored, that results can be written and have a place to go.

    Raises:
        ServiceError: highdicom is not installed.
        DataError: a place is no archive.
    """
    require_highdicom()
    if other := [path for path in paths if not is_dicomweb(path)]:
        raise DataError(
            f"Expected dicomweb:// addresses alone to send results back to, but {len(other)} of {len(paths)} places are"
            " others: score these without sending back."
        )


def send_back(
    tracker: Tracker,
    version: ModelVersion,
    table: Path,
    home: Path,
    data: Data,
    threshold: float | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Sent:
    """Store a Structured Report and a heat map for each scored image, unless the archive has them.

    Args:
        tracker: that of the server with the version.
        version: the one that scored.
        table: written by `pneumo.serving.batch.scoring`, of images of archives.
        home: state folder, with the copies of the images.
        data: what is asked of an archive.
        threshold: as for the scoring.
        on_progress: called with the number of images done and of all.

    Raises:
        ArchiveError: an archive cannot be used any more; what was stored is not sent again.
        DataError: not all results were stored; the first reason is told.
    """
    bundle = load_registered(tracker, version).bundle
    rows = read_table(table).dropna(subset=["probability"]).to_dict("records")
    asked = None if threshold == bundle.spec.threshold else threshold
    limit = bundle.spec.threshold if asked is None else asked
    archives: dict[str, Archive] = {}
    sent, failed = 0, []
    for number, row in enumerate(rows, 1):
        url, instance = located(str(row["path"]))
        if url not in archives:
            archives[url] = Archive(parse(url, data.dicomweb_http))
        try:
            sent += _send(archives[url], instance, _result(row, limit, bundle, version), asked, bundle, home)
        except ArchiveError:
            raise
        except DataError as error:
            failed.append(str(error))
        on_progress(number, len(rows))
    if failed:
        raise DataError(f"Expected {len(rows)} results to be stored, but {len(failed)} are not. {failed[0]}")
    return Sent(images=len(rows), sent=sent, before=len(rows) - sent)


def _result(row: Any, threshold: float, bundle: Bundle, version: ModelVersion) -> Result:
    return Result(
        probability=float(row["probability"]),
        threshold=threshold,
        label=str(row["label"]),
        out_of_distribution=bool(row["out_of_distribution"]),
        model=version.name,
        version=version.version,
        model_sha256=bundle.spec.model_sha256,
    )


def _send(
    archive: Archive, instance: Instance, result: Result, asked: float | None, bundle: Bundle, home: Path
) -> bool:
    """Whether anything had to be sent."""
    places = {kind: place_of(kind, instance.uid, result, asked) for kind in (REPORT, CAPTURE)}
    missing = {kind: place for kind, place in places.items() if not archive.holds(instance.study, place.uid)}
    if not missing:
        return False
    (copy,) = fetch(archive, [instance], home, folder_of(home, url=archive.address.url))
    if copy.error:
        raise DataError(copy.error)
    # The patient is whom the archive names now: a study may have been given to another one since it was copied.
    study = study_of(archive.header(instance))
    write: dict[str, Callable[[Place], Dataset]] = {REPORT: partial(write_report, study, result)}
    if CAPTURE in missing:
        write[CAPTURE] = partial(write_capture, study, _picture(copy.file, bundle), result)
    archive.store(instance.study, {place.uid: _encoded(write[kind], place) for kind, place in missing.items()})
    return True


def _picture(file: Path, bundle: Bundle) -> NDArray[np.uint8]:
    spec = bundle.spec
    image = decode(file, spec.size, spec.fit, "the image", spec.modalities)[None]
    return overlay(decode(file, SHOWN, spec.fit, "the image"), bundle.maps(image)[0])


def _encoded(write: Callable[[Place], "Dataset"], place: Place) -> bytes:
    file = io.BytesIO()
    with without_values(_unfit):
        write(place).save_as(file, enforce_file_format=True)
    return file.getvalue()


def _unfit(reason: str) -> DataError:
    return DataError(
        f"Expected a header that a result can take its study and patient from, but it cannot ({reason}): have it"
        " corrected in the archive."
    )
