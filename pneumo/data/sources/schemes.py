"""Ingest: a table of source schemes, each of which gives a listing of labelled images."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.data.files import tells_disk_errors
from pneumo.data.manifest import build_manifest
from pneumo.data.sources import archives, kaggle, label_files, phantom
from pneumo.data.sources.dicomweb_labels import list_labelled
from pneumo.data.sources.folders import LABEL_FILES, Listing, layout_root, list_folder
from pneumo.data.sources.s3 import mirror
from pneumo.data.store import packs
from pneumo.data.store.versions import entries_of, find_version
from pneumo.errors import DataError
from pneumo.records.data import Inventory
from pneumo.settings.data import Data

MANIFEST = "manifest.parquet"


@dataclass(frozen=True)
class Request:
    """A source to fetch; `rest` is what follows the scheme and its colon."""

    source: str
    rest: str
    home: Path
    settings: Data


def _phantom(request: Request) -> Listing:
    if request.rest and not request.rest.isdecimal():
        raise DataError(f"Expected phantom or phantom:<number of images>, but got {request.source!r}: correct it.")
    return replace(list_folder(phantom.draw(request.home, int(request.rest or phantom.IMAGES))), synthetic=True)


def _kaggle(request: Request) -> Listing:
    return _files(kaggle.download(request.rest, request.home), request)


def _s3(request: Request) -> Listing:
    return _files(mirror(request.source, request.home, request.settings.s3_endpoint), request)


def _dicomweb(request: Request) -> Listing:
    return list_labelled(request.source, request.home, request.settings)


def _version(request: Request) -> Listing:
    """A dataset version by the beginning of its digest: from the storage, else from this machine."""
    digest, home, settings = request.rest, request.home, request.settings
    stored = settings.storage and packs.stored(settings, digest)
    version = packs.pull(digest, home, settings) if stored else find_version(home, digest)
    return Listing(
        version.root, entries_of(version), synthetic=version.synthetic, source=version.source, version=version.digest
    )


def _local(request: Request) -> Listing:
    path = Path(request.source).expanduser()
    if not request.source or not os.path.exists(path):  # an empty path would be the working folder
        raise DataError(
            f"Expected a folder, an archive, a label file or one of {', '.join(f'{name}:' for name in SCHEMES)},"
            f" but {request.source!r} does not exist: check the path."
        )
    return replace(_files(path.resolve(), request), source=str(path.resolve()))


SCHEMES: dict[str, Callable[[Request], Listing]] = {
    "phantom": _phantom,
    "kaggle": _kaggle,
    "s3": _s3,
    "dicomweb": _dicomweb,
    "dicomweb+http": _dicomweb,
    "version": _version,
}


def _files(path: Path, request: Request) -> Listing:
    """Labelled images of a folder, an archive or a label file."""
    if path.is_file() and archives.is_archive(path):
        path = archives.extract(path, request.home)
    if path.is_dir():
        root = layout_root(path)
        path = next((root / name for name in LABEL_FILES if (root / name).is_file()), root)
    if path.suffix.lower() in label_files.SUFFIXES and path.is_file():
        return label_files.list_labels(path, request.settings.columns)
    return list_folder(path)


@tells_disk_errors
def ingest(source: str, home: Path, settings: Data) -> Inventory:
    """Bring a source in and describe every image of it.

    Args:
        source: a folder, zip or tar archive in Kaggle's layout or of two class folders; a CSV or Parquet label file;
            "phantom", "phantom:500", "kaggle:owner/name", "s3://bucket/prefix", "version:<digest>",
            "dicomweb://host/path?labels=<label file>".
        home: state folder.
        settings: storage, endpoint, columns of label files, pattern of patients, modalities of DICOM.

    Raises:
        DataError: the source holds nothing usable. Unreadable images are rows with an `error`, not exceptions.
    """
    scheme, _, rest = source.partition(":")
    listing = SCHEMES.get(scheme, _local)(Request(source, rest, home, settings))
    frame = build_manifest(listing, home, settings.patient_pattern, settings.dicom_modalities)
    content = hashlib.sha256(frame.to_json(orient="values").encode()).hexdigest()
    folder = home / "cache" / "ingest" / stage_key("ingest", content=content)
    if not is_kept(folder):
        with written_once(folder) as scratch:
            frame.to_parquet(scratch / MANIFEST, index=False)
    return Inventory(
        key=folder.name,
        source=listing.source or source,
        synthetic=listing.synthetic,
        root=listing.root,
        manifest=folder / MANIFEST,
        images=len(frame),
        skipped=dict(listing.skipped),
        version=listing.version,
    )
