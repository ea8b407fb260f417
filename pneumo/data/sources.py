"""Bringing data in: a table of source schemes, each ending in a folder of labelled images."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pneumo.data import phantom
from pneumo.data.folders import Listing, list_folder
from pneumo.data.manifest import build_manifest
from pneumo.errors import DataError
from pneumo.settings import Data
from pneumo.stages import Inventory, stage_key, written_once

MANIFEST = "manifest.parquet"


@dataclass(frozen=True)
class Request:
    """A source to fetch: `rest` is what follows the scheme."""

    source: str
    rest: str
    home: Path
    settings: Data


Fetch = Callable[[Request], Listing]


def _phantom(request: Request) -> Listing:
    if request.rest and not request.rest.isdecimal():
        raise DataError(f"Expected phantom or phantom:<number of images>, but got {request.source!r}: correct it.")
    return list_folder(phantom.draw(request.home, int(request.rest or phantom.IMAGES)))


def _local(request: Request) -> Listing:
    path = Path(request.source).expanduser()
    if not path.exists():
        schemes = ", ".join(sorted(SCHEMES))
        raise DataError(f"Expected a folder or one of the schemes {schemes}, but {request.source!r} does not exist.")
    return list_folder(path.resolve())


SCHEMES: dict[str, Fetch] = {"phantom": _phantom}


def ingest(source: str, home: Path, settings: Data) -> Inventory:
    """Bring a source in and describe every image of it.

    Args:
        source: "phantom", "phantom:500", or a folder in Kaggle's layout or of two class folders.
        home: state folder.
        settings: storage and endpoint.

    Raises:
        DataError: nothing usable there; unreadable images are rows with an `error`, not exceptions.
    """
    scheme, _, rest = source.partition(":")
    listing = SCHEMES.get(scheme, _local)(Request(source, rest, home, settings))
    frame = build_manifest(listing, home)
    content = hashlib.sha256(frame.to_json(orient="values").encode()).hexdigest()
    folder = home / "cache" / "ingest" / stage_key("ingest", content=content)
    if not folder.is_dir():
        with written_once(folder) as scratch:
            frame.to_parquet(scratch / MANIFEST, index=False)
    return Inventory(
        key=folder.name,
        source=source,
        synthetic=scheme == "phantom",
        root=listing.root,
        manifest=folder / MANIFEST,
        images=len(frame),
        skipped=dict(listing.skipped),
    )
