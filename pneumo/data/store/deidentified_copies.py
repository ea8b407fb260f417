"""Folders that hold de-identified copies instead of the images: which copy stands for which original.

Manifests, versions and caches know an image by the hash of its original, even where only the copy is there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pneumo.data.files import write_whole

RECORD = ".copies.json"  # inside the folder, so that it is moved and removed with the copies


class Copy(NamedTuple):
    """sha256 of an original, and sha256 and length of the copy that replaces it."""

    original: str
    sha256: str
    bytes: int


def pulled_folder(home: Path, digest: str) -> Path:
    """Where the files of a pulled version lie."""
    return home / "cache" / "pulled" / digest[:16]


class Held:
    """The files of a folder; those that are not recorded as copies are originals.

    Only folders of pulled versions hold copies. A record in any other folder is ignored: it could claim that a file is
    somebody else's image.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self._file = root / RECORD
        ours = root.resolve().parent == pulled_folder(home, "x").resolve().parent
        known = json.loads(self._file.read_bytes()) if ours and self._file.is_file() else {}
        self._copies = {path: Copy(*copy) for path, copy in known.items()}

    def add(self, copies: Mapping[str, Copy]) -> None:
        """Record which files, by path, will be copies, before they are written."""
        if copies:
            self._copies |= copies
            write_whole(self._file, json.dumps(self._copies).encode())

    def sha256(self, path: str, original: str) -> str:
        """sha256 that a file must have to stand for an original."""
        copy = self._copies.get(path)
        return copy.sha256 if copy and copy.original == original else original

    def bytes(self, path: str, original: str, length: int) -> int:
        """Length in bytes that a file must have to stand for an original of `length` bytes."""
        copy = self._copies.get(path)
        return copy.bytes if copy and copy.original == original else length

    def original(self, path: str, sha256: str) -> str:
        """sha256 of the original for which a file with this sha256 stands."""
        copy = self._copies.get(path)
        return copy.original if copy and copy.sha256 == sha256 else sha256
