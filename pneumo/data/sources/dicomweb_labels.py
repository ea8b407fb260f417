"""Labelled radiographs of a DICOMweb archive, by a label file that names studies or images by their UIDs."""

from collections import Counter, defaultdict
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from pneumo.data.dicomweb.address import UID, parse
from pneumo.data.dicomweb.archive import Archive
from pneumo.data.dicomweb.instance import Instance
from pneumo.data.sources.dicomweb import fetch, folder_of
from pneumo.data.sources.folders import Listing, require_both_classes
from pneumo.data.sources.label_files import entry_of, read_labels, refuse
from pneumo.errors import DataError
from pneumo.settings.data import Data

FORM = "dicomweb://host/path?StudyDate=20250101-20251231&labels=/data/labels.csv"


def list_labelled(source: str, home: Path, settings: Data) -> Listing:
    """Images that a label file names, fetched; a study's label is that of each radiograph in it.

    Without StudyDate or StudyInstanceUID in the address only the studies that the file names are asked for.

    Args:
        source: with labels=<label file>; in its column `path` are UIDs of studies, or of images (SOP instances).
        home: state folder, to which the images are copied.
        settings: columns of the label file, and what is asked of the archive.

    Raises:
        DataError: no label file, a row without an image, an image named twice, or one that cannot be fetched.
    """
    address = parse(source, settings.dicomweb_http)
    if not address.labels:
        raise DataError(f"Expected a label file in the address, since an archive tells no labels: {FORM}.")
    file = Path(address.labels).expanduser()
    table = read_labels(file, settings.columns)
    table["line"] = [f"line {number}" for number in range(2, len(table) + 2)]  # for errors, which tell no UIDs
    refuse(table.loc[~table["path"].str.fullmatch(UID), "line"], file, "path", "not of the form of a UID")
    archive = Archive(address)
    searched = {"StudyDate", "StudyInstanceUID"} & address.filters.keys()
    found = archive.find(settings.dicom_modalities, None if searched else set(table["path"]))
    rows = _rows(table, found, file)
    copies = fetch(archive, list(rows), home, folder_of(home, url=address.url, labels=str(file.absolute())))
    if errors := [copy.error for copy in copies if copy.error]:
        raise DataError(f"Expected {len(copies)} labelled images, but {len(errors)} cannot be fetched. {errors[0]}")
    entries = [entry_of(rows[copy.instance] | {"file": copy.file.name}) for copy in copies]
    listing = Listing(copies[0].file.parent, sorted(entries, key=lambda entry: entry.path))
    if len(found) > len(rows):
        listing.skipped["image without a row in the label file"] = len(found) - len(rows)
    require_both_classes(listing)
    return listing


def _rows(table: pd.DataFrame, found: list[Instance], file: Path) -> dict[Instance, dict[Hashable, Any]]:
    """The row of each image that is named."""
    by_uid: dict[str, list[Instance]] = defaultdict(list)
    for instance in found:
        by_uid[instance.uid].append(instance)
        by_uid[instance.study].append(instance)
    unknown = table.loc[~table["path"].isin(list(by_uid)), "line"]
    refuse(unknown, file, "UID", "of which the archive gives no radiograph of a chest")
    named = [(instance, row) for row in table.to_dict("records") for instance in by_uid[str(row["path"])]]
    counts = Counter(instance for instance, _ in named)
    twice = [str(row["line"]) for instance, row in named if counts[instance] > 1]
    refuse(pd.Series(twice, dtype=str), file, "image", "named twice")
    return dict(named)
