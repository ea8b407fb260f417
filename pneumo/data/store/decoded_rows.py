"""Decoded images by their files' content: an image that was decoded for any data set is not decoded again."""

import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pneumo.cache import code_version, written_once
from pneumo.records.base import Fit

IMAGES = "images.npy"
DECODING = (
    *("data/store/decode.py", "data/dicom/__init__.py", "data/dicom/frames.py"),
    "data/gray_levels.py",
)


@dataclass(frozen=True)
class Shelf:
    """Decoded images of one form (size, fit, decoding code), in blocks and in finished stores.

    A block is a folder with images.npy, uint8 (n, size, size), and an index with the sha256 of each row's file.
    """

    home: Path
    size: int
    fit: Fit

    @property
    def index(self) -> str:
        """Name of the index file; it tells the form, so the right blocks are found by their names."""
        return f"{self.size}-{self.fit}-{code_version(*DECODING)[:8]}.sha256"

    def put(self, rows: Mapping[str, NDArray[np.uint8]]) -> None:
        """Add rows, by the sha256 of their files, as one block; it is written whole or not at all."""
        if rows:
            with written_once(self.home / "cache" / "pixels" / uuid.uuid4().hex[:12]) as folder:
                self.write(folder, list(rows), rows.values())

    def write(self, folder: Path, hashes: Sequence[str], rows: Iterable[NDArray[np.uint8]]) -> None:
        """Write images.npy, one or several rows at a time, and the index with the sha256 of each row's file."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(hashes), self.size, self.size)}
        with (folder / IMAGES).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for some in rows:
                file.write(some.data)
        (folder / self.index).write_text("\n".join(hashes))

    def find(self, wanted: set[str]) -> dict[str, tuple[Path, int]]:
        """Folder and row of each wanted sha256; those that are not here are left out."""
        found: dict[str, tuple[Path, int]] = {}
        for folder, hashes in self._folders("preprocess", "pixels"):
            for row, sha256 in enumerate(hashes):
                if sha256 in wanted:
                    found.setdefault(sha256, (folder, row))
        return found

    def tidy(self, stored: set[str]) -> None:
        """Remove blocks of which a finished store holds every row."""
        for folder, hashes in self._folders("pixels"):
            if stored.issuperset(hashes):
                shutil.rmtree(folder)

    def _folders(self, *stages: str) -> Iterator[tuple[Path, list[str]]]:
        for stage in stages:
            for index in sorted((self.home / "cache" / stage).glob(f"[!.]*/{self.index}")):
                yield index.parent, index.read_text().split("\n")
