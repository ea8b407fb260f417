"""The image store: each accepted image is decoded once, to a memory map that all backbones and later runs share."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.data.files import tells_disk_errors
from pneumo.data.parallel import BLOCK, in_blocks
from pneumo.data.store.decode import decode, read_bytes
from pneumo.data.store.decoded_rows import IMAGES, Shelf
from pneumo.data.store.deidentified_copies import Held
from pneumo.errors import DataError
from pneumo.records.base import Fit
from pneumo.records.data import DatasetVersion, ImageStore


@tells_disk_errors
def decode_all(version: DatasetVersion, home: Path, size: int, fit: Fit) -> ImageStore:
    """Decode a version's images to a memory map, uint8 (images, size, size), rows in manifest order.

    An image that was decoded before, for any data set, is found by its file's sha256. Only the others are decoded,
    block by block, so that a killed run loses one block at most.

    Raises:
        DataError: a file has changed since ingest, or cannot be decoded.
    """
    shelf = Shelf(home, size, fit)
    key = stage_key("preprocess", digest=version.digest, form=shelf.index)
    folder = home / "cache" / "preprocess" / key
    if not is_kept(folder):
        with _alone(shelf):
            manifest = pd.read_parquet(version.manifest, columns=["path", "sha256"])
            decode_missing(manifest, version.root, shelf)
            with written_once(folder) as scratch:
                hashes = manifest["sha256"].tolist()
                shelf.write(scratch, hashes, _gather(hashes, shelf))
            shelf.tidy(set(manifest["sha256"]))
    return ImageStore(key=key, path=folder / IMAGES, size=size, fit=fit, images=version.images)


def decode_missing(manifest: pd.DataFrame, root: Path, shelf: Shelf) -> int:
    """Decode the images that the shelf lacks, block by block; returns their number."""
    known = shelf.find(set(manifest["sha256"]))
    missing = manifest[~manifest["sha256"].isin(known.keys())].drop_duplicates("sha256")

    files = list(zip(missing["path"], missing["sha256"], strict=True))
    held = Held(root, shelf.home)

    def work(some: Sequence[tuple[str, str]]) -> list[NDArray[np.uint8]]:
        return [_decode_file(root, path, held.sha256(path, sha), shelf) for path, sha in some]

    for block, rows in in_blocks(work, files, BLOCK):
        shelf.put({sha256: row for (_, sha256), row in zip(block, rows, strict=True)})
    return len(files)


def _decode_file(root: Path, path: str, sha256: str, shelf: Shelf) -> NDArray[np.uint8]:
    data = read_bytes(root / path, path)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(f"Expected {path} as it was brought in, but its content has changed: run again.")
    return decode(data, shelf.size, shelf.fit, path)


def read_rows(manifest: pd.DataFrame, root: Path, shelf: Shelf) -> NDArray[np.uint8]:
    """Pixels of rows of a manifest, uint8 (rows, size, size), in memory."""
    with _alone(shelf):
        decode_missing(manifest, root, shelf)
        return np.concatenate(list(_gather(manifest["sha256"].tolist(), shelf)))


def _alone(shelf: Shelf) -> FileLock:
    """The lock of whoever reads blocks, which `Shelf.tidy` removes, or decodes: two would decode the same images."""
    folder = shelf.home / "cache" / "preprocess"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def _gather(hashes: list[str], shelf: Shelf) -> Iterator[NDArray[np.uint8]]:
    """Images from the shelf in the order of the hashes, in blocks, uint8 (up to BLOCK, size, size)."""
    places = shelf.find(set(hashes))
    pixels = shelf.size * shelf.size
    offsets = {
        folder: np.load(folder / IMAGES, mmap_mode="r").offset for folder in {place[0] for place in places.values()}
    }
    for start in range(0, len(hashes), BLOCK):
        runs = _runs([places[sha256] for sha256 in hashes[start : start + BLOCK]])
        rows = [
            np.fromfile(folder / IMAGES, np.uint8, count * pixels, offset=offsets[folder] + first * pixels)
            for folder, first, count in runs
        ]
        yield np.concatenate(rows).reshape(-1, shelf.size, shelf.size)


def _runs(places: list[tuple[Path, int]]) -> list[tuple[Path, int, int]]:
    """Runs of neighbouring rows: folder, first row, number of rows."""
    runs: list[tuple[Path, int, int]] = []
    for folder, row in places:
        if runs and runs[-1][0] == folder and sum(runs[-1][1:]) == row:
            runs[-1] = (folder, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((folder, row, 1))
    return runs
