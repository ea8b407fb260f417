"""Digest of a logged model's folder: kept when the model is logged, compared before its code is run."""

import hashlib
from pathlib import Path

from pneumo.data.files import sha256_of

TAG = "package.sha256"  # tag of a logged model, and of the versions registered from it


def files_digest(folder: Path) -> str:
    """sha256 over names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()
